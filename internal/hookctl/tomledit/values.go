package tomledit

import (
	"reflect"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// Dig returns the table at a path, nil if there is none.
func Dig(t Table, path ...string) Table {
	for _, key := range path {
		t, _ = t[key].(Table)
	}
	return t
}

// Within returns the table at a path, and adds it if there is none.
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

// Settings returns the members of a table, and of its subtables, that are not empty or zero.
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

// ReadAll reads files and merges them in order: it merges tables, and replaces every other value.
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

// Merge merges from into another table: it merges tables, and replaces every other value.
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
