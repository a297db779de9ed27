package hooks

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Single is a single file of a hooks directory. Tools read the files separately to find the errors in each.
// ReadDirectories and Decide stop at the first error.
type Single struct{ rule *rule }

// ReadSingle reads and checks a file of a hooks directory as ReadDirectories does.
func ReadSingle(path string) (Single, error) {
	file, err := jsonfile.Read(path)
	if err != nil {
		return Single{}, err
	}
	rule, err := readRule(file, expressions{})
	return Single{rule}, err
}

// Stages returns the hook's stages, with createRuntime instead of prestart.
func (s Single) Stages() []Stage { return s.rule.stages }

// JSON returns the hook object that is added.
func (s Single) JSON() jsontext.Value { return s.rule.hook() }

// Refused returns the errors with which Decide fails if the conditions hold. It does not check whether the program
// exists.
func (s Single) Refused() error { return s.rule.mustNot() }
