package traces

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/schema.md from the struct tags")

// TestSchemaIsDocumented holds docs/schema.md against the records: names and types from the struct
// tags, words from the comments beside them.
func TestSchemaIsDocumented(t *testing.T) {
	got := schemaPage(t)
	path := filepath.Join("..", "docs", "schema.md")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/schema.md is out of date; go test ./traces -run Schema -update rewrites it (-page +records):\n%s", diff)
	}
}

func schemaPage(t *testing.T) string {
	t.Helper()
	docs := commentsOf(t, "trace.go", "records.go")
	var b strings.Builder
	fmt.Fprintf(&b, `# The log's schema

<!-- made from the struct tags of package traces by: go test ./traces -run Schema -update -->

A run directory holds Parquet files (zstd, row groups of at most %d rows, a page index) that DuckDB,
pandas, Polars and pyarrow open unchanged; [queries.md](queries.md) has examples. Every file carries
%s (the version of this page, %d) and %s in its key-value metadata.

Columns are only ever added, never renamed or retyped. A reader that is older than a file passes over
columns that it does not know and says so; the version rises only with a column that an older reader
must not pass over, and then it refuses the file by name. Every reader demands of a file of traces: %s.

| file | table | a row is |
| --- | --- | --- |
| `+"`traces/step-000001.parquet`"+` … | traces | a response that was released for training |
| `+"`evals/step-000000-greedy.parquet`"+` … | traces | a response to a held-out problem |
| `+"`steps.parquet`"+` | steps | a learner step |
| `+"`evals.parquet`"+` | evals | an evaluation: a policy under one way of decoding |
| `+"`timings.parquet`"+`, `+"`timings/*.parquet`"+` | timings | what a clock said of a trace or of a step |

`, rowGroupRows, "`"+MetaSchema+"`", SchemaVersion, "`"+MetaTable+"`", "`"+strings.Join(required, "`, `")+"`")
	for _, table := range []struct {
		title string
		of    reflect.Type
	}{
		{"traces", reflect.TypeFor[Trace]()}, {"steps", reflect.TypeFor[Step]()}, {"evals", reflect.TypeFor[Eval]()}, {"timings", reflect.TypeFor[Timing]()},
	} {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n| column | type | meaning |\n| --- | --- | --- |\n", table.title, docs[table.of.Name()])
		columnRows(t, &b, docs, "", table.of)
		b.WriteString("\n")
	}
	b.WriteString("## Values of text columns\n\n| column | values |\n| --- | --- |\n")
	for _, v := range []struct{ column, of string }{
		{"verdict", "Verdict"}, {"finish", "Finish"}, {"status", "Status"}, {"segments.kind", "SegmentKind"}, {"length_source", "LengthSource"},
	} {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.column, docs["values of "+v.of])
	}
	return b.String()
}

// columnRows writes a line a column, those of nested records indented under their list.
func columnRows(t *testing.T, b *strings.Builder, docs map[string]string, prefix string, of reflect.Type) {
	t.Helper()
	for i := range of.NumField() {
		f := of.Field(i)
		parts := strings.Split(f.Tag.Get("parquet"), ",")
		name := prefix + parts[0]
		doc := columnNames.ReplaceAllStringFunc(docs[of.Name()+"."+f.Name], func(word string) string {
			if f, ok := of.FieldByName(word); ok {
				column, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
				return "`" + column + "`"
			}
			return word
		})
		if doc == "" {
			doc = plainNames[parts[0]]
		}
		if doc == "" {
			t.Errorf("%s.%s has no comment that says what its column means", of.Name(), f.Name)
		}
		typ, inner := f.Type, reflect.Type(nil)
		kind := ""
		switch typ.Kind() {
		case reflect.Slice:
			kind = "list of " + scalarName(typ.Elem())
			if typ.Elem().Kind() == reflect.Struct {
				inner = typ.Elem()
				kind = "list of records"
			}
		case reflect.Struct:
			inner, kind = typ, "record"
		case reflect.Pointer:
			kind = scalarName(typ.Elem()) + ", may be null"
		default:
			kind = scalarName(typ)
		}
		if slices.Contains(parts, "dict") {
			kind += " (dictionary)"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, doc)
		if inner != nil {
			columnRows(t, b, docs, name+".", inner)
		}
	}
}

// plainNames says what columns mean that go by the same name wherever they stand.
var plainNames = map[string]string{
	"step": "learner step", "id": "of the trace; empty for a step", "policy": "id of the policy", "temperature": "0 = greedy",
	"start": "first token", "end": "one past the last token", "text_start": "first byte", "text_end": "one past the last byte",
	"train": "the loss counts these tokens", "version": "learner step of the policy", "error": "how it failed; empty where it did not",
	"price": "dollars", "name": "name", "value": "value", "worker": "who sampled", "injected_tokens": "the other tokens",
	"all": "of all responses", "right": "of right answers", "wrong": "of wrong answers", "truncated": "of responses that the limit ended; in evals the share of them",
	"mismatch_max": "largest of the differences", "staleness_max": "largest", "prompt_tokens": "of the step's prompts",
	"problems": "how many", "accuracy": "right / (right + wrong)", "tokens_mean": "mean response tokens", "tokens_right": "of right answers",
	"tokens_wrong": "of wrong answers", "no_score": "share of responses", "tool_calls_mean": "a response", "anytime_accuracy": "mean budget score",
	"budgets": "thinking tokens kept at each cut", "levels": "the same by difficulty", "level": "difficulty", "tokens": "mean response tokens",
	"token_budget": "of the problem", "score": "0..1",
}

// columnNames are words of the records' comments that name their fields.
var columnNames = regexp.MustCompile(`\b([A-Z][a-z]*[A-Z]\w*|Tokens)\b`)

// headline is a comment's single word that only heads a block of fields.
var headline = regexp.MustCompile(`^[A-Z][a-z]+\.( |$)`)

func scalarName(t reflect.Type) string {
	return map[reflect.Kind]string{
		reflect.String: "text", reflect.Int32: "int32", reflect.Int64: "int64", reflect.Uint64: "uint64", reflect.Float32: "float32",
		reflect.Float64: "float64", reflect.Bool: "bool", reflect.Struct: "record",
	}[t.Kind()]
}

// commentsOf reads the comments of types (by name), fields (TYPE.FIELD) and the values of constants
// ("values of TYPE") in one line each.
func commentsOf(t *testing.T, files ...string) map[string]string {
	t.Helper()
	docs := map[string]string{}
	line := func(groups ...*ast.CommentGroup) string {
		var parts []string
		for _, g := range slices.Backward(groups) { // what stands beside a field comes before what stands above several
			if text := headline.ReplaceAllString(strings.Join(strings.Fields(g.Text()), " "), ""); text != "" {
				parts = append(parts, text)
			}
		}
		return strings.ReplaceAll(strings.Join(parts, ". "), "|", `\|`)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			of := ""
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					docs[spec.Name.Name] = strings.NewReplacer("[", "", "]", "").Replace(line(g.Doc))
					s, ok := spec.Type.(*ast.StructType)
					if !ok {
						continue
					}
					for _, f := range s.Fields.List {
						for _, name := range f.Names {
							docs[spec.Name.Name+"."+name.Name] = line(f.Doc, f.Comment)
						}
					}
				case *ast.ValueSpec:
					if id, ok := spec.Type.(*ast.Ident); ok {
						of = id.Name
					}
					for _, v := range spec.Values {
						if lit, ok := v.(*ast.BasicLit); ok && of != "" {
							text := "`" + strings.Trim(lit.Value, `"`) + "`"
							if doc := line(spec.Comment); doc != "" {
								text += " (" + doc + ")"
							}
							docs["values of "+of] = strings.TrimPrefix(docs["values of "+of]+", "+text, ", ")
						}
					}
				}
			}
		}
	}
	return docs
}
