package exporters

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"path/filepath"
)

// tensorBoard writes event files: TFRecords of Event messages (tensorflow/core/util/event.proto),
// encoded by hand, since three messages with seven fields need no code generator. TensorBoard reads
// all event files of a directory as one run.
type tensorBoard struct{ dir string }

const eventPrefix, eventSuffix = "events.out.tfevents.0000000000", "pith"

func (t *tensorBoard) Through(kind string) (int64, error) {
	return throughOf(t.dir, eventPrefix, kind, eventSuffix)
}

func (t *tensorBoard) Append(kind string, rows []Row) error {
	text := record(nil, event(0, 0, "brain.Event:2", nil))
	for _, row := range rows {
		var summary []byte
		for _, v := range row.Values {
			if !math.IsNaN(v.Value) && !math.IsInf(v.Value, 0) {
				summary = field(summary, 1, scalar(v)) // Summary.value
			}
		}
		text = record(text, event(row.Seconds, row.Step, "", summary))
	}
	return replace(filepath.Join(t.dir, spanned(eventPrefix, kind, rows, eventSuffix)), text)
}

func (t *tensorBoard) Finish() error { return nil }

// record frames one message: length, masked CRC-32C of the length, message, masked CRC-32C of it
// (tensorflow/core/lib/io/record_writer.h).
func record(out, message []byte) []byte {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(message)))
	out = append(out, length[:]...)
	out = binary.LittleEndian.AppendUint32(out, masked(length[:]))
	out = append(out, message...)
	return binary.LittleEndian.AppendUint32(out, masked(message))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked rotates a CRC-32C right by 15 bits and adds a constant, so that a CRC over data that holds
// CRCs is not degenerate (tensorflow/core/lib/hash/crc32c.h).
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// event encodes Event{wall_time=1, step=2, file_version=3 or summary=5}.
func event(seconds float64, step int64, version string, summary []byte) []byte {
	out := []byte{1<<3 | 1}
	out = binary.LittleEndian.AppendUint64(out, math.Float64bits(seconds))
	if step != 0 {
		out = binary.AppendUvarint(append(out, 2<<3), uint64(step))
	}
	if version != "" {
		return field(out, 3, []byte(version))
	}
	return field(out, 5, summary)
}

// scalar encodes Summary.Value{tag=1, simple_value=2}.
func scalar(v Value) []byte {
	out := field(nil, 1, []byte(v.Name))
	out = append(out, 2<<3|5)
	return binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v.Value)))
}

// field appends a length-delimited field.
func field(out []byte, number int, value []byte) []byte {
	out = append(out, byte(number<<3|2))
	out = binary.AppendUvarint(out, uint64(len(value)))
	return append(out, value...)
}
