package rewards

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// loadJSON decodes a saved state strictly: a key that the method does not know belongs to another
// version or another method.
func loadJSON(state []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(state))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("not the state of this method: %w", err)
	}
	return nil
}
