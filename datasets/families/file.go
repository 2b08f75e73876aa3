package families

import "pith/datasets"

func fileKeys() []Key { return keysOf(datasets.DefaultSpec()) }

// openFile opens problem files. They bring no vocabulary, tools or teachers.
func openFile(seed uint64, params map[string]any) (*Family, error) {
	spec := datasets.DefaultSpec()
	if err := decode(params, &spec); err != nil {
		return nil, err
	}
	source, err := datasets.Open(spec, seed)
	if err != nil {
		return nil, err
	}
	return &Family{Source: source}, nil
}
