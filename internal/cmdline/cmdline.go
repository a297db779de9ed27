// Package cmdline reads the command line of an OCI runtime:
//
//	oci-add-hooks [own options] [the runtime's global options] COMMAND [the rest]
//
// It separates this program's own options from the runtime's, and finds the command, the bundle, and the log from which
// an engine reads errors. All other arguments reach the runtime unchanged and in order. The package is pure: it opens
// no file and does not interpret the values of options.
package cmdline

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Name is the name under which the program answers --version and --help itself (rule 5). Under any other name it stands
// for a runtime, and the runtime answers them.
const Name = "oci-add-hooks"

// Kind is what a call asks for.
type Kind int

// The kinds of call.
const (
	PassThrough Kind = iota // any command but create, run and restore, and every probe: only the runtime handles it
	AddHooks                // create, run or restore
	Version                 // our own --version
	Help                    // our own --help
)

// Call is a command line that has been read.
type Call struct {
	Kind Kind
	Name string // the base name of argv[0], which selects a profile; empty if there is none

	HookFiles []string // values of --hook-config-path, in order
	HooksDirs []string // values of --hooks-dir, in order
	Runtime   string   // the last value of --runtime-path; empty if there is none
	Slip      string   // an option that looks like a misspelt own option; it is passed on; empty if there is none

	Args       []string // the runtime's arguments after its argv[0]
	ConfigPath string   // the path of the bundle's config.json; set only with AddHooks
	ID         string   // the container's id; set only with AddHooks; empty if it is missing or ambiguous

	Log       string // the runtime's --log; empty if there is none
	LogFormat string // the runtime's --log-format
	Debug     bool   // the runtime's --debug
}

// Parse reads argv. If it returns an error, the call still holds the log, so that the caller can report the error
// there. It returns errors about this program's own options and about a bundle option without a value. It leaves every
// other mistake to the runtime.
func Parse(argv []string) (Call, error) {
	call := Call{}
	if len(argv) == 0 {
		return call, nil // the kernel allows an empty argv
	}
	if argv[0] != "" {
		call.Name = filepath.Base(argv[0])
	}
	if len(argv) == 2 && call.Name == Name {
		switch argv[1] {
		case "--version":
			call.Kind = Version
			return call, nil
		case "--help":
			call.Kind = Help
			return call, nil
		}
	}
	globals, command, rest, err := call.splitGlobals(argv[1:])
	call.Args = globals
	if command == "" {
		return call, err
	}
	call.Args = slices.Concat(globals, []string{command}, rest)
	if !slices.Contains(addingCommands, command) || asksForHelp(globals, globalValues) || asksForHelp(rest, commandValues) {
		return call, err
	}
	call.Kind = AddHooks
	var noBundle error
	if call.ConfigPath, noBundle = findConfig(command, rest); err == nil {
		err = noBundle
	}
	if words := options(rest, commandValues, func(_, _, _ string, _ bool) {}); len(words) == 1 {
		call.ID = words[0]
	}
	return call, err
}

// splitGlobals reads the arguments before the command. It removes this program's own options and notes the log. It
// returns the first of several faults, but reads to the end, since the log may come later.
func (c *Call) splitGlobals(args []string) (globals []string, command string, rest []string, fault error) {
	note := func(err error) {
		if fault == nil {
			fault = err
		}
	}
	unknown := false // the previous argument is an unknown option, which may take a value
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, hasValue := strings.Cut(arg, "=")
		if name == optLogPath {
			note(fmt.Errorf("%s is an option of awslabs/oci-add-hooks, not of this program or of a runtime; "+
				"remove it and its value: errors are in the engine's message and in the runtime's log", name))
		}
		if ownValue(name) != "" {
			if !hasValue {
				if i++; i < len(args) {
					value = args[i]
				}
				if i >= len(args) || strings.HasPrefix(value, "-") {
					note(fmt.Errorf("option %s has no value; give it one: %s %s", name, name, ownValue(name)))
					if i < len(args) {
						i-- // probably the next option
					}
					continue
				}
			}
			if value == "" {
				note(fmt.Errorf("option %s has an empty value; give it one: %s %s", name, name, ownValue(name)))
			}
			c.set(name, value)
			unknown = false
			continue
		}
		if slices.Contains(commands, arg) && (!unknown || slices.Contains(addingCommands, arg) || !addsLater(args[i+1:])) {
			return globals, arg, args[i+1:], fault
		}
		globals = append(globals, arg)
		name, value, hasValue = option(arg)
		if c.Slip == "" && looksOwn(name) {
			c.Slip, _, _ = strings.Cut(arg, "=")
		}
		unknown = isUnknown(name, hasValue)
		if slices.Contains(globalValues, name) && !hasValue && i+1 < len(args) {
			i++
			value = args[i]
			globals = append(globals, value)
		}
		switch name {
		case "log", "l":
			c.Log = value
		case "log-format":
			c.LogFormat = value
		case "debug":
			c.Debug = !hasValue || value == "true"
		}
	}
	return globals, "", nil, fault
}

// isUnknown reports whether it is unknown if an option before the command takes the next argument as its value.
func isUnknown(name string, hasValue bool) bool {
	return name != "" && !hasValue && !slices.Contains(globalValues, name) && !slices.Contains(globalSwitches, name) && !slices.Contains(probes, name)
}

// addsLater reports whether a command's name after an unknown option is probably that option's value. args are the
// arguments after that name. It is, if they continue with more options and then create, run or restore with a bundle
// (rule 2).
func addsLater(args []string) bool {
	for i := 0; i < len(args); i++ {
		name, _, hasValue := option(args[i])
		own, _, ownHasValue := strings.Cut(args[i], "=")
		switch {
		case slices.Contains(addingCommands, args[i]):
			return namesBundle(args[i+1:])
		case name == "":
			return false
		case ownValue(own) != "" && !ownHasValue, slices.Contains(globalValues, name) && !hasValue:
			i++
		case isUnknown(name, hasValue) && i+1 < len(args):
			if next, _, _ := option(args[i+1]); next == "" && !slices.Contains(addingCommands, args[i+1]) {
				i++
			}
		}
	}
	return false
}

// namesBundle reports whether one of the options after create, run or restore names a bundle.
func namesBundle(rest []string) bool {
	named := false
	options(rest, commandValues, func(arg, name, _ string, _ bool) {
		named = named || isBundle(arg, name)
	})
	return named
}

func (c *Call) set(name, value string) {
	switch name {
	case optHookFile:
		c.HookFiles = append(c.HookFiles, value)
	case optHooksDir:
		c.HooksDirs = append(c.HooksDirs, value)
	case optRuntime:
		c.Runtime = value
	}
}

// option parses an argument as -name, --name, -name=value or --name=value. It returns an empty name if arg is not an
// option.
func option(arg string) (name, value string, hasValue bool) {
	if len(arg) < 2 || arg[0] != '-' {
		return "", "", false
	}
	name, value, hasValue = strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	return name, value, hasValue
}

// options calls each for every option among args, up to "--". An option that is in takeValue is passed with its value.
// It returns the arguments that are neither options nor their values.
func options(args, takeValue []string, each func(arg, name, value string, hasValue bool)) (words []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(words, args[i+1:]...)
		}
		arg := spelledOut(args[i])
		name, value, hasValue := option(arg)
		if name == "" {
			words = append(words, arg)
			continue
		}
		if slices.Contains(takeValue, name) && !hasValue && i+1 < len(args) {
			i++
			value, hasValue = args[i], true
		}
		each(arg, name, value, hasValue)
	}
	return words
}

// spelledOut returns an option as every runtime understands it. crun also accepts the beginning of a long option
// (--bund DIR), if only one begins like it, and short options joined to each other (-db DIR). Any other argument is
// unchanged.
func spelledOut(arg string) string {
	if joined, ok := strings.CutPrefix(arg, "-d"); ok {
		if joined = strings.TrimLeft(joined, "d"); strings.HasPrefix(joined, "b") || strings.HasPrefix(joined, "f") {
			return "-" + joined
		}
		return arg
	}
	long, ok := strings.CutPrefix(arg, "--")
	if !ok {
		return arg
	}
	name, _, _ := strings.Cut(long, "=")
	matches := func(o string) bool { return strings.HasPrefix(o, name) }
	i := slices.IndexFunc(crunOptions, matches)
	if i < 0 || slices.ContainsFunc(crunOptions[i+1:], matches) {
		return arg
	}
	return "--" + crunOptions[i] + long[len(name):]
}

// asksForHelp reports whether args make a runtime print its help or version and do nothing else.
func asksForHelp(args, takeValue []string) bool {
	asks := false
	options(args, takeValue, func(_, name, value string, hasValue bool) {
		asks = asks || slices.Contains(probes, name) && (!hasValue || value == "true")
	})
	return asks
}

// isBundle reports whether an option after create, run or restore names the bundle: --bundle, -b, or -bDIR.
func isBundle(arg, name string) bool {
	return name == "bundle" || name == "b" || isJoined(arg, name, 'b')
}

// isJoined reports whether an option after create, run or restore is the given short option with its value joined to
// it.
func isJoined(arg, name string, short byte) bool {
	return arg[1] == short && len(name) > 1 && !slices.Contains(commandValues, name) && !slices.Contains(commandSwitches, name)
}

// findConfig returns the path of config.json for create, run or restore (rule 4). It is in the last bundle that rest
// names, or else in the working directory, unless crun's --config names another file.
func findConfig(command string, rest []string) (string, error) {
	bundle, config := ".", "config.json"
	var err error
	options(rest, commandValues, func(arg, name, value string, hasValue bool) {
		short := arg[1] != '-'
		switch {
		case isBundle(arg, name) && name != "bundle" && name != "b":
			bundle = arg[len("-b"):] // -bDIR
		case isBundle(arg, name):
			if !hasValue {
				err = fmt.Errorf("option %s has no value; give it the bundle's directory", arg)
			}
			bundle = value
		case command == "restore": // it has no --config
		case name == "config" && !short, name == "f" && short:
			if value == "" {
				err = fmt.Errorf("option %s has no value; give it the path of a config.json", arg)
			}
			config = value
		case isJoined(arg, name, 'f'):
			config = arg[len("-f"):] // -fFILE
		}
	})
	// crun looks for config.json in the bundle, and for a file with any other name in its working directory.
	if config == "config.json" && bundle != "" && bundle != "." {
		config = bundle + "/" + config // not filepath.Join, which would drop link/..
	}
	return config, err
}
