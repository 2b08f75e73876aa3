package score

import (
	"fmt"
	"strings"

	"pith/rewards"
	"pith/rewards/params"
)

// Options reads settings as a command line has them: method.NAME=VALUE, advantage.kind=NAME and
// advantage.NAME=VALUE, lists as [a,b]. A later setting wins. Whether a name exists is for
// [rewards.New] to say.
func Options(profile string, settings []string) (rewards.Options, error) {
	o := rewards.Options{Profile: profile, Params: map[string]any{}, Advantage: map[string]any{}}
	for _, s := range settings {
		path, text, ok := strings.Cut(s, "=")
		section, name, dotted := strings.Cut(strings.TrimSpace(path), ".")
		if !ok || !dotted || name == "" {
			return o, fmt.Errorf("setting %q: want method.NAME=VALUE or advantage.NAME=VALUE", s)
		}
		value, err := params.Parse(text)
		if err != nil {
			return o, fmt.Errorf("setting %q: %w", s, err)
		}
		switch section {
		case "method":
			o.Params[name] = value
		case "advantage":
			o.Advantage[name] = value
		default:
			return o, fmt.Errorf("setting %q: want method.NAME=VALUE or advantage.NAME=VALUE", s)
		}
	}
	return o, nil
}
