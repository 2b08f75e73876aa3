package grade

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// graders is the explicit table of everything New can build.
var graders = map[string]func(name string, params map[string]any) (Grader, error){
	"exact": newExactFromParams,
}

// Names lists the graders that New knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(graders)) }

// New builds a grader by name. Parameters are decoded strictly over the grader's defaults: an
// unknown key or a wrong type is an error that says what is valid. nil parameters mean defaults.
func New(name string, params map[string]any) (Grader, error) {
	build, ok := graders[name]
	if !ok {
		return nil, fmt.Errorf("unknown grader %q; known graders are %s", name, strings.Join(Names(), ", "))
	}
	if params == nil {
		params = map[string]any{}
	}
	return build(name, params)
}

func newExactFromParams(name string, params map[string]any) (Grader, error) {
	opts := DefaultExactOptions()
	if err := decodeParams(name, params, &opts); err != nil {
		return nil, err
	}
	return NewExact(opts)
}
