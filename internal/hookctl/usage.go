package hookctl

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// errProblems is returned by a command that found problems and has reported them.
var errProblems = errors.New("problems were found")

// usageError is an error in how a command was called.
type usageError string

func (e usageError) Error() string { return string(e) }

// failure is an error of a command that was called correctly.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// ownPath corrects the remedy of an error about a path of the command line: unlike an engine's runtime, hookctl is called
// in the user's directory.
func ownPath(err error) error {
	var at *jsonfile.Error
	if errors.As(err, &at) && at.Remedy != "" && at.Remedy == jsonfile.RelativeRemedy(at.Path) {
		at.Remedy = "correct the path"
	}
	return err
}

// prepare makes a command and those below it explain wrong usage, and distinguish it from failure.
func prepare(cmd *cobra.Command) {
	name, rest, _ := strings.Cut(cmd.Use, " ")
	if cmd.HasSubCommands() {
		rest = "COMMAND"
	}
	cmd.Use = strings.TrimSuffix(name+" [OPTION]... "+rest, " ")
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().BoolP("help", "h", false, "print this help")
	cmd.SuggestionsMinimumDistance = 2
	accepts, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if cmd.HasSubCommands() && len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		if len(cmd.ValidArgs) > 0 && len(args) > 0 && !slices.Contains(cmd.ValidArgs, args[0]) {
			return unknownArgument(cmd, args[0])
		}
		if accepts != nil && accepts(cmd, args) != nil {
			return wrongArguments(cmd, accepts, args)
		}
		return cmp.Or(missingOption(cmd), excludedOption(cmd), emptyValue(cmd))
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if run == nil {
			return cmd.Help()
		}
		err := ownPath(run(cmd, args))
		var usage usageError
		if err == nil || errors.As(err, &usage) {
			return err
		}
		return failure{err}
	}
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// unknownCommand returns the error about a word that names no command of cmd.
func unknownCommand(cmd *cobra.Command, word string) error {
	meant := quoted(cmd.SuggestionsFor(word))
	if len(meant) == 0 {
		meant = elsewhere(cmd.Root(), word)
	}
	return usageError(fmt.Sprintf("unknown command %q%s", word, didYouMean(meant)))
}

// elsewhere returns the quoted paths of the commands below cmd that are called name.
func elsewhere(cmd *cobra.Command, name string) (paths []string) {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			paths = append(paths, strconv.Quote(sub.CommandPath()))
		}
		paths = append(paths, elsewhere(sub, name)...)
	}
	return paths
}

func quoted(names []string) []string {
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	return names
}

func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, " or ") + "?"
}

// closest returns those of names that word is probably a misspelling of.
func closest(word string, names []string) []string {
	nearby := cobra.Command{SuggestionsMinimumDistance: 2} // its SuggestionsFor compares names
	for _, name := range names {
		nearby.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	return nearby.SuggestionsFor(word)
}

// wrongOption explains an error about an option. If an unknown command precedes the option, the error is about that
// command.
func wrongOption(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	var unknown *pflag.NotExistError
	var valueless *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		if unknown.GetSpecifiedShortnames() != "" {
			return usageError("unknown option -" + unknown.GetSpecifiedShortnames())
		}
		var names, meant []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if !flag.Hidden {
				names = append(names, flag.Name)
			}
		})
		for _, name := range closest(unknown.GetSpecifiedName(), names) {
			meant = append(meant, "--"+name)
		}
		return usageError("unknown option --" + unknown.GetSpecifiedName() + didYouMean(meant))
	case errors.As(err, &valueless):
		return usageError(fmt.Sprintf("the value of --%s is missing: --%[1]s %s", valueless.GetFlag().Name, valueOf(valueless.GetFlag())))
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return usageError(fmt.Sprintf("--%s %q: it takes no value", invalid.GetFlag().Name, invalid.GetValue()))
	case errors.As(err, &invalid):
		return usageError(fmt.Sprintf("--%s %q: %v", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap()))
	}
	return usageError(err.Error())
}

// valueOf returns the placeholder of an option's value: in upper case, or as its usage has it if that has upper case
// letters.
func valueOf(flag *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(flag)
	if strings.ToLower(name) != name {
		return name
	}
	return strings.ToUpper(name)
}

// wrongArguments returns the error about arguments that a command does not accept: one is missing, or there is one too
// many.
func wrongArguments(cmd *cobra.Command, accepts cobra.PositionalArgs, args []string) error {
	for n := len(args) - 1; n >= 0; n-- {
		if accepts(cmd, args[:n]) == nil {
			return usageError(fmt.Sprintf("unexpected argument %q", args[n]))
		}
	}
	message := argument(cmd) + " is missing"
	if len(cmd.ValidArgs) > 0 {
		message += ": " + orList(cmd.ValidArgs)
	}
	return usageError(message)
}

// unknownArgument returns the error about a first argument that is not one of those that a command accepts.
func unknownArgument(cmd *cobra.Command, word string) error {
	message := fmt.Sprintf("unknown %s %q", strings.ToLower(argument(cmd)), word)
	if meant := quoted(closest(word, cmd.ValidArgs)); len(meant) > 0 {
		return usageError(message + didYouMean(meant))
	}
	return usageError(message + ": " + orList(cmd.ValidArgs))
}

// argument returns the placeholder of the first argument in a command's usage line.
func argument(cmd *cobra.Command) string {
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if word = strings.Trim(word, "[]"); strings.ToUpper(word) == word && !strings.HasPrefix(word, "OPTION") && !strings.HasPrefix(word, "-") {
			return word
		}
	}
	return "an argument"
}

// orList returns names as a list in a sentence: "a, b or c".
func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// required is the annotation of an option that must be given. It is not cobra's own: with that, shells complete no other
// option until this one is given.
const required = "hookctl_required"

// require makes options required.
func require(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		must(cmd.Flags().SetAnnotation(flag, required, nil))
	}
}

// missingOption returns an error if a required option is not given.
func missingOption(cmd *cobra.Command) error {
	var missing []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if _, needed := flag.Annotations[required]; needed && !flag.Changed {
			missing = append(missing, "--"+flag.Name+" "+valueOf(flag))
		}
	})
	if missing == nil {
		return nil
	}
	return usageError("missing: " + strings.Join(missing, ", "))
}

// excludedOption returns an error if two options are given that exclude each other.
func excludedOption(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		for _, group := range flag.Annotations["cobra_annotation_mutually_exclusive"] {
			for _, other := range strings.Fields(group) {
				if err == nil && other != flag.Name && cmd.Flags().Changed(other) {
					err = usageError(fmt.Sprintf("--%s and --%s exclude each other", flag.Name, other))
				}
			}
		}
	})
	return err
}

// emptyValue returns an error if an option's value is empty, such as that of an unset variable. An empty value never
// means the default.
func emptyValue(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if err == nil && slices.Contains(values, "") {
			err = usageError("the value of --" + flag.Name + " is empty")
		}
	})
	return err
}
