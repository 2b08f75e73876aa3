package datasets

import (
	"errors"
	"fmt"
	"strings"
)

// Spec says which problem files to read and how. Only Path is needed: the format follows from the
// file's name and the shape from its first row, where they are unambiguous.
type Spec struct {
	// Path is a file, or a pattern such as "data/*.parquet"; files are read in the order of their
	// names, as one data set.
	Path   string `json:"path" mapstructure:"path"`
	Name   string `json:"name" mapstructure:"name"`     // of the data set; default: the file's name without its ending
	Format string `json:"format" mapstructure:"format"` // auto (default), jsonl, parquet
	// Shape names a known layout (see [Shapes]); auto (default) recognises it. "fields" means that
	// Fields says it all.
	Shape  string `json:"shape" mapstructure:"shape"`
	Fields Fields `json:"fields" mapstructure:"fields"` // overrides the shape's, field by field

	// Template is the prompt: its one {question} is replaced by the question, and {system}, if it is
	// there, by the row's system message. Default: "{question}". Other braces stand for themselves.
	Template string `json:"template" mapstructure:"template"`

	// HeldOut is the share of problems kept from training, 0 (default) to 1, chosen by a hash of the
	// question's text: the same question is always on the same side, under every seed and in every
	// version of the file. HeldOutPath, instead, names files of their own, read the same way; questions that
	// stand in them are removed from training.
	HeldOut     float64 `json:"held_out" mapstructure:"held_out"`
	HeldOutPath string  `json:"held_out_path" mapstructure:"held_out_path"`

	// Order of training: "shuffle" (default) anew each epoch, by the seed; "file" as they stand.
	Order string `json:"order" mapstructure:"order"`
	Limit int    `json:"limit" mapstructure:"limit"` // read only the first rows of each path; 0 (default) = all
	// SkipBad leaves out rows that cannot be used, and counts them in [Report]; by default they are
	// an error.
	SkipBad bool `json:"skip_bad" mapstructure:"skip_bad"`
}

// Fields maps what a problem needs to where a row has it, as dotted paths: "reward_model.ground_truth",
// "final_answer.0". A key that itself contains dots is found too.
type Fields struct {
	Question string `json:"question" mapstructure:"question"` // text, or a list of chat messages with role and content
	Context  string `json:"context" mapstructure:"context"`   // text put before the question
	Answer   string `json:"answer" mapstructure:"answer"`
	// AnswerRule says how the gold answer is taken from its field: "verbatim"; "boxed", the last
	// \boxed{…}; "after MARK", what follows the last MARK on its line, such as "after ####".
	AnswerRule string `json:"answer_rule" mapstructure:"answer_rule"`

	ID                string `json:"id" mapstructure:"id"`       // default: name and row number
	Level             string `json:"level" mapstructure:"level"` // a whole number ≥ 0, or text that ends in one ("Level 5")
	ReferenceAccuracy string `json:"reference_accuracy" mapstructure:"reference_accuracy"`
	ReferenceTokens   string `json:"reference_tokens" mapstructure:"reference_tokens"`
	TokenBudget       string `json:"token_budget" mapstructure:"token_budget"`
}

const (
	formatAuto    = "auto"
	formatJSONL   = "jsonl"
	formatParquet = "parquet"

	shapeAuto   = "auto"
	shapeFields = "fields"

	orderShuffle = "shuffle"
	orderFile    = "file"

	questionMark = "{question}"
	systemMark   = "{system}"

	ruleVerbatim = "verbatim"
	ruleBoxed    = "boxed"
	ruleAfter    = "after "
)

// DefaultSpec is what an empty field of a [Spec] means, spelled out.
func DefaultSpec() Spec {
	return Spec{Format: formatAuto, Shape: shapeAuto, Template: questionMark, Order: orderShuffle}
}

// withDefaults fills what is empty.
func (s Spec) withDefaults() Spec {
	d := DefaultSpec()
	for _, f := range []struct {
		field *string
		value string
	}{{&s.Format, d.Format}, {&s.Shape, d.Shape}, {&s.Template, d.Template}, {&s.Order, d.Order}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return s
}

// Validate reports every violation at once. Empty fields stand for their defaults.
func (s Spec) Validate() error {
	s = s.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Path == "" {
		bad("path is empty: name a JSONL or Parquet file of problems")
	}
	if s.Format != formatAuto && s.Format != formatJSONL && s.Format != formatParquet {
		bad("format is %q: use auto, jsonl or parquet", s.Format)
	}
	switch _, known := shapeByName(s.Shape); {
	case s.Shape == shapeFields:
		if s.Fields.Question == "" || s.Fields.Answer == "" {
			bad("shape is fields: then fields.question and fields.answer must be given")
		}
	case s.Shape != shapeAuto && !known:
		bad("shape is %q: use auto, fields, or one of %s", s.Shape, strings.Join(shapeNames(), ", "))
	}
	if err := validRule(s.Fields.AnswerRule); err != nil {
		errs = append(errs, err)
	}
	if n := strings.Count(s.Template, questionMark); n != 1 {
		bad("template has %d times %s: it must hold it once", n, questionMark)
	}
	if strings.Count(s.Template, systemMark) > 1 {
		bad("template has %s more than once", systemMark)
	}
	if !(s.HeldOut >= 0 && s.HeldOut < 1) {
		bad("held_out is %v: it must be at least 0 and below 1", s.HeldOut)
	}
	if s.HeldOut > 0 && s.HeldOutPath != "" {
		bad("held_out and held_out_path are both given: choose one")
	}
	if s.Order != orderShuffle && s.Order != orderFile {
		bad("order is %q: use shuffle or file", s.Order)
	}
	if s.Limit < 0 {
		bad("limit is %d: it must not be negative", s.Limit)
	}
	return errors.Join(errs...)
}

func validRule(rule string) error {
	if rule == "" || rule == ruleVerbatim || rule == ruleBoxed || strings.HasPrefix(rule, ruleAfter) && len(rule) > len(ruleAfter) {
		return nil
	}
	return fmt.Errorf("fields.answer_rule is %q: use verbatim, boxed, or \"after MARK\" such as \"after ####\"", rule)
}
