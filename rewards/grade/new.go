package grade

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// graders is the explicit table of everything New can build.
var graders = map[string]func(name string, params map[string]any) (Grader, error){
	"exact":   newExactFromParams,
	"math":    newMathFromParams,
	"numeric": newNumericFromParams,
	"text":    newTextFromParams,
	"choice":  newChoiceFromParams,
	"f1":      newF1FromParams,
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

func newMathFromParams(name string, params map[string]any) (Grader, error) {
	opts := DefaultMathOptions()
	if err := decodeParams(name, params, &opts); err != nil {
		return nil, err
	}
	return NewMath(opts)
}

func newNumericFromParams(name string, params map[string]any) (Grader, error) {
	opts := DefaultNumericOptions()
	if err := decodeParams(name, params, &opts); err != nil {
		return nil, err
	}
	return NewNumeric(opts)
}

func newChoiceFromParams(name string, params map[string]any) (Grader, error) {
	opts := DefaultChoiceOptions()
	if err := decodeParams(name, params, &opts); err != nil {
		return nil, err
	}
	return NewChoice(opts), nil
}

func newTextFromParams(name string, params map[string]any) (Grader, error) {
	opts := DefaultTextOptions()
	if err := decodeParams(name, params, &opts); err != nil {
		return nil, err
	}
	return NewText(opts), nil
}

func newF1FromParams(name string, params map[string]any) (Grader, error) {
	opts := DefaultTextOptions()
	if err := decodeParams(name, params, &opts); err != nil {
		return nil, err
	}
	if !(opts.Threshold > 0 && opts.Threshold <= 1) {
		return nil, fmt.Errorf("grader %q: parameter \"threshold\" is %v; it must be above 0 and at most 1", name, opts.Threshold)
	}
	return NewF1(opts), nil
}
