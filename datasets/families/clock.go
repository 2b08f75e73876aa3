package families

import (
	"pith/datasets/clock"
)

func clockKeys() []Key { return keysOf(clock.DefaultOptions(), "tools") }

// openClock opens clock arithmetic. Whether it has tools is said by its name, not by a parameter.
func openClock(tools bool) func(uint64, map[string]any) (*Family, error) {
	return func(seed uint64, params map[string]any) (*Family, error) {
		o := clock.DefaultOptions()
		if err := decode(params, &o, "tools"); err != nil {
			return nil, err
		}
		o.Tools = tools
		source, err := clock.New(seed, o)
		if err != nil {
			return nil, err
		}
		f := &Family{
			Source:     source,
			Vocabulary: clock.Vocabulary(),
			Special:    clock.Special(),
			Budget:     clock.WithBudget,
			Markers: Markers{
				Pad: clock.Pad, BOS: clock.BOS, EOS: clock.EOS,
				Think: clock.Think, EndThink: clock.EndThink, Cut: clock.Cut,
			},
		}
		if !tools {
			f.teachers = []teacher{
				{"warm", "short clean passes, to learn the facts", reasoner(source, clock.WarmTeacherOptions())},
				{"default", "thinks too much and errs", reasoner(source, clock.DefaultTeacherOptions())},
			}
			return f, nil
		}
		f.Markers.Call, f.Markers.EndCall = clock.Tool, clock.EndTool
		f.Markers.Result, f.Markers.EndResult = clock.Result, clock.EndResult
		f.Tools = map[string]Tool{clock.ToolName: clock.Call}
		f.teachers = []teacher{
			{"tool-a", "calls often, copies faultlessly", toolUser(source, clock.ToolTeacherA())},
			{"tool-b", "calls often, slips when it copies several operations", toolUser(source, clock.ToolTeacherB())},
		}
		return f, nil
	}
}

func reasoner(source *clock.Family, defaults clock.TeacherOptions) func(uint64, map[string]any) (Example, error) {
	return func(seed uint64, params map[string]any) (Example, error) {
		o := defaults
		if err := decode(params, &o); err != nil {
			return nil, err
		}
		t, err := clock.NewTeacher(source, seed, o)
		if err != nil {
			return nil, err
		}
		return t.Example, nil
	}
}

func toolUser(source *clock.Family, defaults clock.ToolTeacherOptions) func(uint64, map[string]any) (Example, error) {
	return func(seed uint64, params map[string]any) (Example, error) {
		o := defaults
		if err := decode(params, &o); err != nil {
			return nil, err
		}
		t, err := clock.NewToolTeacher(source, seed, o)
		if err != nil {
			return nil, err
		}
		return t.Example, nil
	}
}
