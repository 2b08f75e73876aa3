package datasets

import (
	"fmt"
	"slices"
	"strings"
)

// Shape is a layout of rows that many files share.
type Shape struct {
	Name   string
	About  string // where it is met
	Fields Fields
	fits   func(r record) bool
}

// shapes lists the known layouts. A row may fit several only if they read the same problem from
// it; the first of them is then taken.
var shapes = []Shape{
	{
		Name: "pith", About: "a ready prompt and its answer: prompt, answer, optionally id, level, reference_accuracy, …",
		Fields: Fields{
			Question: "prompt", Answer: "answer", ID: "id", Level: "level",
			ReferenceAccuracy: "reference_accuracy", ReferenceTokens: "reference_tokens", TokenBudget: "token_budget",
		},
		fits: func(r record) bool { return isText(r, "prompt") && has(r, "answer") },
	},
	{
		Name: "verl", About: "verl's Parquet: prompt (chat messages), reward_model.ground_truth, data_source",
		Fields: Fields{Question: "prompt", Answer: "reward_model.ground_truth", ID: "extra_info.index"},
		fits: func(r record) bool {
			_, chat := r["prompt"].([]any)
			return chat && has(r, "reward_model.ground_truth")
		},
	},
	{
		Name: "gsm8k", About: "GSM8K: question, answer whose last line is #### and the number",
		Fields: Fields{Question: "question", Answer: "answer", AnswerRule: "after ####"},
		fits:   func(r record) bool { return isText(r, "question") && contains(r, "answer", "####") },
	},
	{
		Name: "math", About: "MATH, AIME, AMC: problem, answer or else the last \\boxed{} of solution",
		Fields: Fields{Question: "problem", Answer: "answer", ID: "id", Level: "level"},
		fits:   func(r record) bool { return isText(r, "problem") && has(r, "answer") },
	},
	{
		Name: "math-solution", About: "MATH as published: problem, level, solution with the answer in \\boxed{}",
		Fields: Fields{Question: "problem", Answer: "solution", AnswerRule: ruleBoxed, Level: "level"},
		fits: func(r record) bool {
			return isText(r, "problem") && !has(r, "answer") && contains(r, "solution", `\boxed{`)
		},
	},
	{
		Name: "svamp", About: "SVAMP: Body, Question, Answer",
		Fields: Fields{Context: "Body", Question: "Question", Answer: "Answer", ID: "ID"},
		fits:   func(r record) bool { return isText(r, "Body") && isText(r, "Question") && has(r, "Answer") },
	},
	{
		Name: "olympiadbench", About: "OlympiadBench: context, question, final_answer (a list of one)",
		Fields: Fields{Context: "context", Question: "question", Answer: "final_answer", ID: "id"},
		fits:   func(r record) bool { return isText(r, "question") && has(r, "final_answer") },
	},
	{
		Name: "qa", About: "question and answer, taken as they are",
		Fields: Fields{Question: "question", Answer: "answer", ID: "id", Level: "level"},
		fits: func(r record) bool {
			return isText(r, "question") && has(r, "answer") && !contains(r, "answer", "####")
		},
	},
}

// Shapes returns the known layouts.
func Shapes() []Shape { return slices.Clone(shapes) }

func shapeNames() []string {
	var names []string
	for _, s := range shapes {
		names = append(names, s.Name)
	}
	return names
}

func shapeByName(name string) (Shape, bool) {
	for _, s := range shapes {
		if s.Name == name {
			return s, true
		}
	}
	return Shape{}, false
}

// recognise finds the shape of a file from its first row. It refuses to guess: where two shapes
// would read different problems from the row, or none fits, the error says which fields were seen.
func recognise(first record) (Shape, error) {
	var found []Shape
	for _, s := range shapes {
		if s.fits(first) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return Shape{}, fmt.Errorf("the shape is not recognised from the fields %s: name the fields of question and answer (fields.question, fields.answer), or the shape (%s)",
			strings.Join(first.keys(), ", "), strings.Join(shapeNames(), ", "))
	}
	want := reading(found[0], first)
	for _, s := range found[1:] {
		if reading(s, first) != want {
			return Shape{}, fmt.Errorf("the shape is ambiguous: the fields %s can be read as %s or as %s: set shape",
				strings.Join(first.keys(), ", "), found[0].Name, s.Name)
		}
	}
	return found[0], nil
}

// reading is what a shape makes of a row, reduced to question and answer.
func reading(s Shape, r record) [2]string {
	m := mapping{fields: s.Fields, template: questionMark}
	q, err := m.question(r)
	if err != nil {
		return [2]string{"", err.Error()}
	}
	a, err := m.answer(r)
	if err != nil {
		return [2]string{q.text, err.Error()}
	}
	return [2]string{normal(q.text), a}
}

func has(r record, path string) bool { _, ok := r.find(path); return ok }

func isText(r record, path string) bool {
	v, _ := r.find(path)
	_, ok := v.(string)
	return ok
}

func contains(r record, path, sub string) bool {
	v, _ := r.find(path)
	s, ok := v.(string)
	return ok && strings.Contains(s, sub)
}

// overlay replaces the shape's fields by those that the user gave. An answer field of one's own
// comes with a rule of one's own, verbatim by default.
func overlay(shape, given Fields) Fields {
	out := shape
	if given.Answer != "" && given.AnswerRule == "" {
		out.AnswerRule = ruleVerbatim
	}
	for _, f := range []struct {
		dst *string
		src string
	}{
		{&out.Question, given.Question}, {&out.Context, given.Context}, {&out.Answer, given.Answer},
		{&out.AnswerRule, given.AnswerRule}, {&out.ID, given.ID}, {&out.Level, given.Level},
		{&out.ReferenceAccuracy, given.ReferenceAccuracy}, {&out.ReferenceTokens, given.ReferenceTokens},
		{&out.TokenBudget, given.TokenBudget},
	} {
		if f.src != "" {
			*f.dst = f.src
		}
	}
	return out
}
