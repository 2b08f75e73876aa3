package exporters

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
)

// otlp writes spans as OTLP JSON (opentelemetry-proto, ExportTraceServiceRequest), a file for every
// export with new steps: a span a step with its waits and stages as children, one after another in
// the order in which a step goes through them. The log has how long each took, not when it began, so
// the order within a step is the trainer's and not a measurement.
type otlp struct {
	dir  string
	data *Data
}

func (o *otlp) Through(kind string) (int64, error) { return throughOf(o.dir, "spans", kind, "json") }
func (o *otlp) Finish() error                      { return nil }

type otlpSpan struct {
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	Parent     string     `json:"parentSpanId,omitempty"`
	Name       string     `json:"name"`
	Kind       int        `json:"kind"`
	Start      string     `json:"startTimeUnixNano"`
	End        string     `json:"endTimeUnixNano"`
	Attributes []otlpPair `json:"attributes,omitempty"`
}

type otlpPair struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

func (o *otlp) Append(kind string, rows []Row) error {
	if kind != Timings { // the other kinds have no duration
		return nil
	}
	attributes := map[int64][]Value{}
	for _, row := range o.data.Rows[Steps] {
		attributes[row.Step] = row.Values
	}
	var spans []otlpSpan
	for _, row := range rows {
		seconds := map[string]float64{}
		for _, v := range row.Values {
			seconds[v.Name] = v.Value
		}
		whole := seconds["time/step_seconds"] + seconds["time/eval_seconds"]
		start := row.Seconds - whole
		id := fmt.Sprintf("%016x", fnv([]byte(o.data.ID), uint64(row.Step)))
		step := o.span(id, "", fmt.Sprintf("step %d", row.Step), start, row.Seconds)
		for _, v := range attributes[row.Step] {
			step.Attributes = append(step.Attributes, otlpPair{"pith." + v.Name, map[string]any{"doubleValue": v.Value}})
		}
		spans = append(spans, step)
		at := start
		for i, stage := range []string{"trainer_wait", "grade", "learn", "publish", "commit", "eval"} {
			took := seconds["time/"+stage+"_seconds"]
			if took <= 0 {
				continue
			}
			child := fmt.Sprintf("%016x", fnv([]byte(o.data.ID+stage), uint64(row.Step)<<8|uint64(i)))
			spans = append(spans, o.span(child, id, stage, at, at+took))
			at += took
		}
	}
	text, err := json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource": map[string]any{"attributes": []otlpPair{
			{"service.name", map[string]any{"stringValue": "pith"}}, {"pith.run", map[string]any{"stringValue": o.data.Run}},
		}},
		"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "pith"}, "spans": spans}},
	}}})
	if err != nil {
		return err
	}
	return replace(filepath.Join(o.dir, spanned("spans", kind, rows, "json")), append(text, '\n'))
}

func (o *otlp) span(id, parent, name string, start, end float64) otlpSpan {
	nanos := func(seconds float64) string { return strconv.FormatInt(int64(max(seconds, 0)*1e9), 10) }
	return otlpSpan{TraceID: o.data.ID, SpanID: id, Parent: parent, Name: name, Kind: 1, Start: nanos(start), End: nanos(end)}
}
