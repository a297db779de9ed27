package tomledit

import (
	"reflect"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// Dig returns the table at a path; nil if there is none.
func Dig(t Table, path ...string) Table {
	for _, key := range path {
		t, _ = t[key].(Table)
	}
	return t
}

// Within returns the table at a path, and makes it if there is none.
func Within(t Table, path ...string) Table {
	for _, key := range path {
		inner, ok := t[key].(Table)
		if !ok {
			inner = Table{}
			t[key] = inner
		}
		t = inner
	}
	return t
}

// Settings returns what a table, and those in it, set to something else than an empty or a zero value.
func Settings(t Table) Table {
	set := Table{}
	for key, v := range t {
		if inner, ok := v.(Table); ok {
			v = Settings(inner)
		}
		value := reflect.ValueOf(v)
		if v == nil || value.IsZero() || (value.Kind() == reflect.Slice || value.Kind() == reflect.Map) && value.Len() == 0 {
			continue
		}
		set[key] = v
	}
	return set
}

// Strings returns the strings in an array.
func Strings(v any) (list []string) {
	array, _ := v.([]any)
	for _, item := range array {
		if text, ok := item.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

// ReadAll reads files and merges them, the later over the earlier: tables are merged, everything else is replaced.
func ReadAll(files []string) (Table, error) {
	all := Table{}
	for _, path := range files {
		text, err := change.Read(path)
		if err != nil {
			return nil, err
		}
		tree, err := Decode(path, text)
		if err != nil {
			return nil, err
		}
		Merge(all, tree)
	}
	return all, nil
}

// Merge merges one table into another: tables are merged, everything else is replaced.
func Merge(into, from Table) {
	for key, v := range from {
		inner, isTable := v.(Table)
		if existing, ok := into[key].(Table); ok && isTable {
			Merge(existing, inner)
			continue
		}
		into[key] = v
	}
}
