package rewards

// keepMixed keeps the groups whose scored traces are neither all right nor all wrong. It reads raw
// correctness, never the shaped reward (DAPO's dynamic sampling, arXiv 2503.14476, section 3.2).
func keepMixed(v *view) string {
	switch v.rights() {
	case 0:
		return "filtered: all wrong"
	case v.n():
		return "filtered: all right"
	}
	return ""
}

// keepMixedOrAlone also keeps a group of one, as verl's filter does.
func keepMixedOrAlone(v *view) string {
	if v.n() == 1 {
		return ""
	}
	return keepMixed(v)
}

// mixedFilter is the filter of a method that has one, if its parameter asks for it.
func mixedFilter(on bool, profile string) func(v *view) string {
	switch {
	case !on:
		return nil
	case profile == "released_code":
		return keepMixedOrAlone
	}
	return keepMixed
}

// keepVaried keeps the groups whose rewards differ.
func keepVaried(v *view) string {
	for _, r := range v.reward[1:] {
		if r != v.reward[0] {
			return ""
		}
	}
	return "filtered: all rewards equal"
}
