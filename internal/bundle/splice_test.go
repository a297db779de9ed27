package bundle

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/oci-add-hooks/internal/corpus"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

func parseText(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse(&jsonfile.File{Path: "config.json", Data: []byte(text)}, "", false)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func values(texts ...string) []jsontext.Value {
	var v []jsontext.Value
	for _, text := range texts {
		v = append(v, jsontext.Value(text))
	}
	return v
}

// add does what package inject does: it removes the blocks that config.json already holds from additions, and adds the
// rest.
func add(c *Config, additions ...Addition) (string, error) {
	for i := range additions {
		a := &additions[i]
		there, err := c.Has(a.Stage, a.Prepend)
		if err != nil {
			return "", err
		}
		if there {
			a.Prepend = nil
		}
		if there, _ = c.Has(a.Stage, a.Append); there {
			a.Append = nil
		}
	}
	text, err := c.Splice(additions)
	return string(text.Bytes()), err
}

// TestSplice tests rules 11 and 12: where hooks are added, and that all other bytes stay.
func TestSplice(t *testing.T) {
	a := Addition{Stage: hooks.Prestart, Prepend: values(`{"path":"/a"}`), Append: values(`{"path":"/z"}`)}
	two := []Addition{a, {Stage: hooks.Poststop, Prepend: values(`{"path":"/b"}`, "{\n \"path\" : \"/c\"}")}}
	for _, test := range []struct{ name, config, want string }{
		{"empty", `{}`,
			`{"hooks":{"prestart":[{"path":"/a"},{"path":"/z"}],"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}]}}`},
		{"no hooks", `{"a":1}`,
			`{"hooks":{"prestart":[{"path":"/a"},{"path":"/z"}],"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}]},"a":1}`},
		{"null", ` { "hooks" : null , "a":1}`,
			` { "hooks" : {"prestart":[{"path":"/a"},{"path":"/z"}],"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}]} , "a":1}`},
		{"empty hooks", `{"hooks":{ }}`,
			`{"hooks":{"prestart":[{"path":"/a"},{"path":"/z"}],"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}] }}`},
		{"null stage", `{"hooks":{"prestart": null}}`,
			`{"hooks":{"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}],"prestart": [{"path":"/a"},{"path":"/z"}]}}`},
		{"empty stage", `{"hooks":{"prestart":[ ],"poststop":[]}}`,
			`{"hooks":{"prestart":[{"path":"/a"},{"path":"/z"} ],"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}]}}`},
		{"stages", `{"hooks":{"poststop":[ {"path":"/y"} ],"x":[],"prestart":[{"path":"/x"} , 1 ]},"h":2}`,
			`{"hooks":{"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}, {"path":"/y"} ],"x":[],"prestart":[{"path":"/a"},{"path":"/x"} , 1,{"path":"/z"} ]},"h":2}`},
		{"odd bytes", "{\"u\":18446744073709551615,\r\n\t\"e\":1e400,\"n\":-0.0,\"s\":\"\\u00e9\\ud800<&>\\/\xff\",\"u\":1, \"\" : [ ] } \n",
			`{"hooks":{"prestart":[{"path":"/a"},{"path":"/z"}],"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}]},` +
				"\"u\":18446744073709551615,\r\n\t\"e\":1e400,\"n\":-0.0,\"s\":\"\\u00e9\\ud800<&>\\/\xff\",\"u\":1, \"\" : [ ] } \n"},
		{"escaped names", `{"h\u006foks":{"pre\u0073tart":[1]}}`,
			`{"h\u006foks":{"poststop":[{"path":"/b"},{` + "\n" + ` "path" : "/c"}],"pre\u0073tart":[{"path":"/a"},1,{"path":"/z"}]}}`},
	} {
		got, err := add(parseText(t, test.config), slices.Clone(two)...)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
		if again, err := add(parseText(t, got), slices.Clone(two)...); err != nil || again != got {
			t.Errorf("%s: the second time %s, %v", test.name, again, err)
		}
	}
}

// TestHas tests rule 13: a stage holds a block if it holds all its hooks as a contiguous run, compared as JSON values.
func TestHas(t *testing.T) {
	for _, test := range []struct {
		stage string
		block []jsontext.Value
		want  bool
	}{
		{`[]`, nil, true},
		{`null`, values(`1`), false},
		{`[{"path":"/a"}]`, values(`{"path":"/a"}`), true},
		{`[{"path":"/a"}]`, values(`{ "path" : "\u002fa" }`), true},
		{`[{"path":"/a","args":["a"]}]`, values(`{"args":["a"],"path":"/a"}`), true},
		{`[{"path":"/a","timeout":1e1}]`, values(`{"path":"/a","timeout":10}`), true},
		{`[{"n":18446744073709551615}]`, values(`{"n":18446744073709551616}`), false},
		{`[{"path":"/a"}]`, values(`{"path":"/a","args":[]}`), false},
		{`[{"path":"/a"},{"path":"/b"}]`, values(`{"path":"/a"}`, `{"path":"/b"}`), true},
		{`[0,{"path":"/a"},{"path":"/b"},1]`, values(`{"path":"/a"}`, `{"path":"/b"}`), true},
		{`[{"path":"/a"},0,{"path":"/b"}]`, values(`{"path":"/a"}`, `{"path":"/b"}`), false},
		{`[{"path":"/b"},{"path":"/a"}]`, values(`{"path":"/a"}`, `{"path":"/b"}`), false},
		{`[{"path":"/a"}]`, values(`{"path":"/a"}`, `{"path":"/a"}`), false},
		{`[{"x":[{"path":"/a"},{"path":"/b"}]},1]`, values(`{"path":"/a"}`, `{"path":"/b"}`), false}, // inside a hook
		{`[{"x":"\n{\"path\":\"/a\"}\n"}]`, values(`{"path":"/a"}`), false},
		{`[{"a":"\ud800"}]`, values(`{"a":"\ud800"}`), true},
		{`[{"a":1,"a":2}]`, values(`{"a":1,"a":2}`), true},
	} {
		got, err := parseText(t, `{"hooks":{"prestart":`+test.stage+`}}`).Has(hooks.Prestart, test.block)
		if err != nil || got != test.want {
			t.Errorf("%s has %s: %v, %v; want %v", test.stage, test.block, got, err, test.want)
		}
	}
}

// TestFaults tests rule 14: the faults that are refused if hooks are added, and only then.
func TestFaults(t *testing.T) {
	for config, want := range map[string]string{
		`{"hooks":{},"hooks":{}}`:                     `config.json:1:13: "hooks" is given twice (/hooks)`,
		"{\"hooks\":{},\n \"h\\u006foks\":null}":      `config.json:2:2: "hooks" is given twice (/hooks)`,
		`{"Hooks":{}}`:                                `config.json:1:2: member "Hooks" differs from "hooks" in the case of letters alone (/Hooks)`,
		`{"hoo` + "\u212a" + `s":{}}`:                 `differs from "hooks"`, // the Kelvin sign, which Go folds to k
		`{"hooks":{"prestart":[],"prestart":[]}}`:     `config.json:1:25: stage "prestart" is given twice (/hooks/prestart)`,
		`{"hooks":{"preStart":[]}}`:                   `member "preStart" differs from "prestart"`,
		`{"hooks":{"POSTSTOP":[]}}`:                   `member "POSTSTOP" differs from "poststop"`,
		`{"hooks":[]}`:                                `config.json:1:10: must be an object or null (/hooks)`,
		`{"hooks":{"prestart":{}}}`:                   `config.json:1:22: must be an array or null (/hooks/prestart)`,
		`{"hooks":{"poststart":"x"}}`:                 `must be an array or null (/hooks/poststart)`,
		"{}\n{}":                                      `config.json:2:1: text follows the end of the JSON value`,
		"{} x":                                        `config.json:1:4: text follows the end of the JSON value`,
		"{\"a\":1,\n\"annotations\":{},\"hooks\":1} ": `config.json:2:26: must be an object or null (/hooks)`,
	} {
		c := parseText(t, config)
		if _, err := add(c, Addition{Stage: hooks.Prestart, Prepend: values(`{}`)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", config, err, want)
		}
		if _, err := c.Splice([]Addition{{Stage: hooks.Prestart, Prepend: values(`{}`)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Splice alone: %v; want %s", config, err, want)
		}
		if there, err := c.Has(hooks.Prestart, nil); !there || err != nil {
			t.Errorf("%s: nothing to add: %v, %v", config, there, err)
		}
	}
}

// TestSyntax: an error about a config.json that is not valid JSON, or not an object, names the place.
func TestSyntax(t *testing.T) {
	for config, want := range map[string]string{
		"":                        "config.json: is empty",
		" \n":                     "config.json: is empty",
		"[]":                      "config.json:1:1: must be an object, not an array; write it in braces: {...}",
		"{":                       "config.json:1:2: not valid JSON: the file ends too early",
		"{\n \"a\": tru }":        "config.json:2:10: not valid JSON: invalid character ' ' in literal true (expecting 'e') (/a)",
		"{\"hooks\":{\"a\":[1,}}": "config.json:1:18: not valid JSON: invalid character '}'",
		"\xef\xbb\xbf{}":          "config.json:1:1: not valid JSON: invalid character",
		"{\"é\":\"\n\"}":          "config.json:1:7: not valid JSON: invalid character '\\n'", // columns count characters
	} {
		_, err := parse(&jsonfile.File{Path: "config.json", Data: []byte(config)}, "", false)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %s", config, err, want)
		}
	}
}

// TestEngines tests the splice with config.json files that engines wrote.
func TestEngines(t *testing.T) {
	files, err := filepath.Glob("testdata/engines/*.json")
	if err != nil || len(files) < 11 {
		t.Fatalf("only %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkSplice(t, text)
		})
	}
}

func allStages() []Addition {
	var all []Addition
	for _, s := range hooks.Stages() {
		all = append(all, Addition{Stage: s, Prepend: values(`{"path":"/first","args":["<&>"]}`, `{ "path":"/second" }`), Append: values(`{"path":"/last"}`)})
	}
	return all
}

// FuzzSplice: for any accepted config.json, the bytes outside the edits are unchanged, removing the hooks restores the
// input, a second run changes nothing, and encoding/json reads the result as the input with the hooks.
func FuzzSplice(f *testing.F) {
	files, _ := filepath.Glob("testdata/engines/*.json")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		`{}`, `{"hooks":null}`, `{"hooks":{}}`, `{"hooks":{"prestart":null,"poststop":[]}}`, ` { "hooks" : { "prestart" : [ { "path" : "/a" } ] } } `,
		`{"hooks":{"prestart":[1,2],"createRuntime":[{"path":"/first","args":["\u003c&>"]},{"path":"/second"},{"path":"/last"}]}}`,
		`{"a":18446744073709551615,"b":1e400,"c":"\u00e9\ud800"}`, `{"hooks":{},"Hooks":{}}`, `{"annotations":{"a":"b"},"process":{"args":["sh"]},"mounts":[{"type":"bind"}]}`,
	} {
		f.Add([]byte(text))
	}
	corpus.AddJSON(f)
	f.Fuzz(checkSplice)
}

func checkSplice(t *testing.T, text []byte) {
	// Facts that cannot be read are an error. Everything else is the same with and without facts.
	corpus.CheckMemory(t, len(text), func() {
		if withFacts, err := parse(&jsonfile.File{Path: "config.json", Data: text}, "", true); err == nil {
			_, _ = add(withFacts, allStages()...)
		}
	})
	c, err := parse(&jsonfile.File{Path: "config.json", Data: text}, "", false)
	additions := allStages()
	got := ""
	if err == nil {
		got, err = add(c, additions...) // it also removes the blocks from additions that the file already holds
	}
	for _, at := range jsonfile.All(err) {
		if at.Remedy == "" {
			t.Fatalf("no remedy: %v", at)
		}
	}
	if err != nil {
		return
	}
	edits := c.edits(additions)
	if undone := undo([]byte(got), text, edits); !bytes.Equal(undone, text) {
		t.Fatalf("removing the hooks from\n%s\nreturns\n%s\nnot\n%s", got, undone, text)
	}
	again, err := add(parseText(t, got), allStages()...)
	if err != nil || again != got {
		t.Fatalf("the second time returns\n%s\nafter\n%s\n%v", again, got, err)
	}
	checkMeaning(t, text, []byte(got), additions)
}

// undo reverts edits, using only their offsets.
func undo(got, text []byte, edits []jsonfile.Edit) []byte {
	var out []byte
	at, shift := 0, 0 // in got; how much longer got is than text so far
	for _, e := range edits {
		out = append(out, got[at:e.Start+shift]...)
		out = append(out, text[e.Start:e.End]...) // a null, or nothing
		at = e.Start + shift + len(e.Text)
		shift += len(e.Text) - (e.End - e.Start)
	}
	return append(out, got[at:]...)
}

// checkMeaning compares the two texts as another parser, encoding/json, reads them.
func checkMeaning(t *testing.T, before, after []byte, additions []Addition) {
	t.Helper()
	was, is := decode(before), decode(after)
	if was == nil {
		return // encoding/json allows less nesting
	}
	if is == nil {
		t.Fatalf("encoding/json refuses\n%s", after)
	}
	wasHooks, _ := was["hooks"].(map[string]any)
	isHooks, _ := is["hooks"].(map[string]any)
	for _, a := range additions {
		s := string(a.Stage)
		old, _ := wasHooks[s].([]any)
		want := slices.Concat(decodeAll(t, a.Prepend), old, decodeAll(t, a.Append))
		if got, _ := isHooks[s].([]any); len(want)+len(got) > 0 && !cmp.Equal(want, got) {
			t.Fatalf("%s is\n%v\nnot\n%v", s, got, want)
		}
		delete(wasHooks, s)
		delete(isHooks, s)
	}
	if len(wasHooks) == 0 {
		delete(was, "hooks")
	}
	if len(isHooks) == 0 {
		delete(is, "hooks")
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Fatalf("besides the hooks (-was +is)\n%s", diff)
	}
}

func decode(text []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var m map[string]any
	if d.Decode(&m) != nil {
		return nil
	}
	return m
}

func decodeAll(t *testing.T, values []jsontext.Value) []any {
	t.Helper()
	all := make([]any, len(values))
	for i, v := range values {
		if err := json.Unmarshal(v, &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
