package families

import "pith/datasets/relay"

func relayKeys() []Key { return keysOf(relay.DefaultOptions()) }

func openRelay(seed uint64, params map[string]any) (*Family, error) {
	o := relay.DefaultOptions()
	if err := decode(params, &o); err != nil {
		return nil, err
	}
	source, err := relay.New(seed, o)
	if err != nil {
		return nil, err
	}
	return &Family{
		Source:     source,
		Vocabulary: relay.Vocabulary(),
		Special:    relay.Special(),
		Markers: Markers{
			Pad: relay.Pad, BOS: relay.BOS, EOS: relay.EOS,
			Think: relay.Think, EndThink: relay.EndThink, Cut: relay.Cut,
		},
		teachers: []teacher{{"default", "slips, and checks more than it needs", func(seed uint64, params map[string]any) (Example, error) {
			o := relay.DefaultTeacherOptions()
			if err := decode(params, &o); err != nil {
				return nil, err
			}
			t, err := relay.NewTeacher(source, seed, o)
			if err != nil {
				return nil, err
			}
			return t.Example, nil
		}}},
	}, nil
}
