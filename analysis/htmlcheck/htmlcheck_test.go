package htmlcheck

import (
	"strings"
	"testing"
)

func TestTheValidatorTellsGoodFromBad(t *testing.T) {
	const head = `<!DOCTYPE html><html lang="en"><head><title>x</title></head><body>`
	Valid(t, []byte(head+`<p>fine</p></body></html>`+"\n"))
	for name, body := range map[string]string{
		"an unclosed element": `<p><em>x</p>`, "a duplicate id": `<p id="a">x</p><p id="a">y</p>`, "a block in a phrase": `<p><table></table></p>`,
	} {
		t.Run(name, func(t *testing.T) {
			said, ok := validate(t, []byte(head+body+`</body></html>`))
			if ok || !strings.Contains(said, "error") {
				t.Errorf("taken as valid: %s", said)
			}
		})
	}
}
