package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-viper/mapstructure/v2"

	"pith/configs"
	"pith/datasets"
	"pith/datasets/curriculum"
	"pith/traces"
)

// Kinds of data.curriculum.kind.
const (
	curriculumNone   = "none"
	curriculumDOT    = "dot"    // over-generation
	curriculumCurES  = "cures"  // middling problems more often, and more rollouts for them
	curriculumWindow = "window" // only problems whose solve rate lies in a window
	curriculumLevels = "levels" // from easy levels to hard ones
)

// pick is the problem of one training group and how often it is sampled.
type pick struct {
	Index   int64 `json:"index"` // in the source's train split
	Samples int   `json:"samples"`
}

// chooser decides which problem each training group has, how many samples it gets, and how many
// groups a step collects. It is a state machine over what was observed: the same observations in
// the same order give the same choices.
type chooser struct {
	source  datasets.Source
	perStep int64
	samples int

	stream    *curriculum.Stream    // nil: the problems in the order of the data
	predictor *curriculum.Predictor // nil: prompts_per_step groups a step
	allocate  bool                  // rollouts by the spread of the belief
	multiple  int

	picks map[int64]pick // of groups that were chosen and not yet observed, by group index
	ready []pick         // chosen at the beginning of the step, not yet given to a group
}

// streamParams are what the kinds that weigh problems have in common.
type streamParams struct {
	curriculum.Options `mapstructure:",squash"`
}

type curesParams struct {
	streamParams `mapstructure:",squash"`
	// Tau is the temperature of the draw; 0: alpha/√(2·delta).
	Tau   float64 `mapstructure:"tau"`
	Alpha float64 `mapstructure:"alpha"`
	Delta float64 `mapstructure:"delta"` // KL trust radius
	// Allocate shares prompts_per_step · samples_per_prompt rollouts by √(p(1−p)); problems that get
	// none are skipped.
	Allocate bool `mapstructure:"allocate"`
	Multiple int  `mapstructure:"multiple"` // rollouts of a step are a multiple of it
}

type windowParams struct {
	streamParams      `mapstructure:",squash"`
	curriculum.Window `mapstructure:",squash"`
}

type levelsParams struct {
	streamParams      `mapstructure:",squash"`
	curriculum.Levels `mapstructure:",squash"`
}

// newChooser opens the curriculum of a config.
func newChooser(c configs.Config, source datasets.Source) (*chooser, error) {
	k := &chooser{
		source: source, perStep: int64(c.Rollout.PromptsPerStep), samples: c.Rollout.SamplesPerPrompt, picks: map[int64]pick{},
	}
	shared := streamParams{curriculum.DefaultOptions()}
	if source.Len(datasets.Train) == 0 {
		shared.By = curriculum.ByLevel // generated problems seldom come again
	}
	params := c.Data.Curriculum.Params
	var err error
	weigh := func(rule curriculum.Rule, o curriculum.Options) error {
		k.stream, err = curriculum.New(source, c.Run.Seed, rule, o)
		return err
	}
	switch c.Data.Curriculum.Kind {
	case curriculumDOT:
		o := curriculum.DefaultPredictorOptions()
		if err := decodeParams(params, &o); err != nil {
			return nil, err
		}
		k.predictor, err = curriculum.NewPredictor(o)
	case curriculumCurES:
		p := curesParams{streamParams: shared, Alpha: 1, Delta: 0.5, Allocate: true}
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		if p.Tau == 0 {
			p.Tau = curriculum.Tau(p.Alpha, p.Delta)
		}
		if p.Multiple < 0 {
			return nil, fmt.Errorf("multiple is %d: it must not be negative", p.Multiple)
		}
		k.allocate, k.multiple = p.Allocate, p.Multiple
		err = weigh(curriculum.CurES{Tau: p.Tau}, p.Options)
	case curriculumWindow:
		p := windowParams{streamParams: shared, Window: curriculum.Window{Low: 0.2, High: 0.8}}
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		err = weigh(p.Window, p.Options)
	case curriculumLevels:
		p := levelsParams{streamParams: shared, Levels: curriculum.Levels{FromMin: 1, FromMax: 2, ToMin: 1, ToMax: 8, Over: c.Run.Steps / 2}}
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		err = weigh(p.Levels, p.Options)
	}
	return k, err
}

// decodeParams decodes strictly over the defaults in into.
func decodeParams(params map[string]any, into any) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{ErrorUnused: true, Result: into, DecodeHook: configs.WholeNumbers})
	if err == nil {
		err = d.Decode(params)
	}
	var one *mapstructure.DecodeError
	if errors.As(err, &one) && one.Name() == "" {
		err = one.Unwrap()
	}
	return err
}

// fits refuses combinations in which the curriculum cannot do what it is for.
func (k *chooser) fits(c configs.Config, filters bool) error {
	switch {
	case k.predictor != nil && !filters:
		return fmt.Errorf("dot generates more groups than an update takes because a filter drops some, and method %s drops none; choose a method with a filter, or kind none", c.Rewards.Method)
	case k.allocate && c.Rollout.DynamicSampling:
		return errors.New("cures gives every step its rollouts beforehand, rollout.dynamic_sampling draws until there are enough; set allocate to false, or dynamic_sampling")
	case k.allocate && c.Rollout.MaxStaleness > 0:
		return fmt.Errorf("cures shares out the rollouts of a step when it begins, but with rollout.max_staleness %d later steps are sampled already; set allocate to false, or max_staleness to 0", c.Rollout.MaxStaleness)
	case k.allocate && k.samples < 2:
		return errors.New("cures has nothing to share out among groups of one; raise rollout.samples_per_prompt, or set allocate to false")
	}
	return nil
}

// mostGroups bounds the groups that a step collects.
func (k *chooser) mostGroups() int64 {
	if k.predictor != nil {
		return int64(float64(k.perStep) * k.predictor.Options.Max)
	}
	return k.perStep
}

// begin starts a step and says how many groups it collects; 0 leaves it to prompts_per_step.
func (k *chooser) begin() (int64, error) {
	switch {
	case k.predictor != nil:
		return int64(k.predictor.Prompts(int(k.perStep))), nil
	case !k.allocate:
		return 0, nil
	}
	drawn, err := k.stream.Draw(int(k.perStep))
	if err != nil {
		return 0, err
	}
	sigmas := make([]float64, len(drawn))
	for i, d := range drawn {
		sigmas[i] = curriculum.Spread(d.Belief.Mean())
	}
	shares, err := curriculum.Allocate(int(k.perStep)*k.samples, sigmas, k.multiple)
	if err != nil {
		return 0, err
	}
	k.ready = k.ready[:0]
	for i, n := range shares {
		if n > 0 {
			k.ready = append(k.ready, pick{drawn[i].Index, n})
		}
	}
	return int64(len(k.ready)), nil
}

// choose gives the problems of n groups from index from on. Groups that were chosen before keep
// theirs.
func (k *chooser) choose(from, n int64) ([]pick, error) {
	if k.stream == nil {
		out := make([]pick, n)
		for i := range n {
			out[i] = pick{from + i, k.samples}
		}
		return out, nil
	}
	var missing []int64
	for g := from; g < from+n; g++ {
		if _, ok := k.picks[g]; !ok {
			missing = append(missing, g)
		}
	}
	if len(missing) > 0 && !k.allocate {
		drawn, err := k.stream.Draw(len(missing))
		if err != nil {
			return nil, err
		}
		for _, d := range drawn {
			k.ready = append(k.ready, pick{d.Index, k.samples})
		}
	}
	if len(k.ready) < len(missing) {
		return nil, fmt.Errorf("curriculum: %d problems for %d groups; the data have no more", len(k.ready), len(missing))
	}
	for i, g := range missing {
		k.picks[g] = k.ready[i]
	}
	k.ready = append(k.ready[:0], k.ready[len(missing):]...)
	out := make([]pick, n)
	for i := range n {
		out[i] = k.picks[from+i]
	}
	return out, nil
}

// observe tells the curriculum how the groups of a step came out, in their order; first is the index
// of the first of them. kept of them survived the filters.
func (k *chooser) observe(first int64, groups [][]traces.Trace, kept int) error {
	if k.predictor != nil {
		if err := k.predictor.Observe(kept, len(groups)); err != nil {
			return err
		}
	}
	if k.stream == nil {
		return nil
	}
	for i, g := range groups {
		at := first + int64(i)
		p, err := k.source.Problem(datasets.Train, k.picks[at].Index)
		if err != nil {
			return fmt.Errorf("curriculum: %w", err)
		}
		if len(g) > 0 && g[0].Problem != p.ID {
			return fmt.Errorf("curriculum: group %s is about problem %q, but %q was chosen: the log or the data have changed", g[0].Group, g[0].Problem, p.ID)
		}
		k.stream.Observe(p, outcome(g))
		delete(k.picks, at)
	}
	return nil
}

// chooserState is what a checkpoint keeps of a curriculum.
type chooserState struct {
	Stream *curriculum.State `json:"stream,omitempty"`
	Shares []float64         `json:"shares,omitempty"` // of the predictor
	Picks  map[int64]pick    `json:"picks,omitempty"`
}

// state serialises the curriculum; nil where there is none. Equal states give equal bytes.
func (k *chooser) state() (json.RawMessage, error) {
	if k.stream == nil && k.predictor == nil {
		return nil, nil
	}
	s := chooserState{Picks: maps.Clone(k.picks)}
	if k.stream != nil {
		state := k.stream.State()
		s.Stream = &state
	}
	if k.predictor != nil {
		s.Shares = slices.Clone(k.predictor.Shares)
	}
	return json.Marshal(s)
}

func (k *chooser) restore(text json.RawMessage) error {
	if len(text) == 0 {
		if k.stream != nil || k.predictor != nil {
			return errors.New("the checkpoint holds no state of a curriculum: it belongs to another config")
		}
		return nil
	}
	var s chooserState
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("state of the curriculum: %w", err)
	}
	if k.predictor != nil {
		k.predictor.Shares = s.Shares
	}
	k.picks, k.ready = map[int64]pick{}, nil
	maps.Copy(k.picks, s.Picks)
	if k.stream != nil && s.Stream != nil {
		return k.stream.Restore(*s.Stream)
	}
	return nil
}
