package hooks

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Single is one file of a hooks directory, by itself. Tools read files one by one, to find what is wrong with each;
// ReadDirectories and Decide stop at the first fault.
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

// Stages returns the stages that the hook goes to; prestart is createRuntime here.
func (s Single) Stages() []Stage { return s.rule.stages }

// JSON returns the hook object that is added.
func (s Single) JSON() jsontext.Value { return s.rule.hook() }

// Refused returns the errors because of which Decide fails where the conditions hold; that the program is missing is not
// among them.
func (s Single) Refused() error { return s.rule.mustNot() }
