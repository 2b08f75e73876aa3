package datasets

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// readParquet calls row for every row, numbered from 1, until it returns false. The file is opened
// and its footer verified before any row is read; whatever a damaged file makes the library do
// comes back as an error.
func readParquet(in io.ReaderAt, size int64, row func(n int, r record, err error) bool) (err error) {
	n := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("row %d: the Parquet file is damaged: %v", n+1, p)
		}
	}()
	file, err := parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("not a readable Parquet file (was it written to the end?): %w", err)
	}
	reader := parquet.NewGenericReader[any](file)
	defer func() { err = errors.Join(err, reader.Close()) }()
	rows := make([]any, 64)
	for {
		count, err := reader.Read(rows)
		for _, v := range rows[:count] {
			n++
			r, ok := v.(map[string]any)
			var rowErr error
			if !ok {
				rowErr = fmt.Errorf("the row is a %s, not a group of fields", kind(v))
			}
			if !row(n, r, rowErr) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", n+1, err)
		}
	}
}
