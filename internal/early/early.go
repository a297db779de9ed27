//go:build amd64 || arm64

package early

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// entry is where the kernel enters the program (entry_*.s). It calls start, and then Go's own entry.
func entry()

// Only the linker and the assembly code refer to these.
var _, _ = entry, start

// maxArgs is the greatest number of arguments of a call, including the program's name.
const maxArgs = 250

// only is the one call of this process.
var only call

// start execs the runtime if the call certainly asks for it. If start returns, it has changed nothing. stack is the
// kernel's initial stack: argc, argv, nil, the environment, nil, the auxiliary vector.
//
//go:nosplit
func start(stack unsafe.Pointer) {
	argc := int(wordAt(stack, 0))
	argv := unsafe.Add(stack, wordSize)
	environment := unsafe.Add(argv, (argc+1)*wordSize)
	end := 0
	for wordAt(environment, end) != 0 {
		end++
	}
	if gainedRights(unsafe.Add(environment, (end+1)*wordSize)) || !only.decide(argc, argv) {
		return
	}
	// If this fails, Go starts, and the ordinary code reports why.
	system(unix.SYS_EXECVE, only.argv[0], uintptr(unsafe.Pointer(&only.argv)), uintptr(environment), 0)
}

// gainedRights reports whether the process gained rights (set-user-ID, capabilities) when it was executed, as the
// auxiliary vector says. It returns true if the vector says nothing.
//
//go:nosplit
func gainedRights(auxiliary unsafe.Pointer) bool {
	const atNull, atSecure = 0, 23
	for i := 0; wordAt(auxiliary, i) != atNull; i += 2 {
		if wordAt(auxiliary, i) == atSecure {
			return wordAt(auxiliary, i+1) != 0
		}
	}
	return true
}

// call is the work on one call. It holds all the memory that the work needs.
type call struct {
	argv [maxArgs + 1]uintptr // the runtime's argv: its path, its arguments, nil

	path path        // first the path of a profile's hook file, then of a runtime found by its name
	self unix.Stat_t // the status of this program
	stat unix.Stat_t // the status of any other file
	text [4096]byte  // the beginning of a hook file, then zeros
}

// decide reports whether the call certainly passes through and its runtime is certain. If so, it sets c.argv to the
// runtime's argv. args points to argc pointers to C strings.
//
//go:nosplit
func (c *call) decide(argc int, args unsafe.Pointer) bool {
	if argc < 2 || argc > maxArgs || !passesThrough(argc, args) {
		return false
	}
	own, next := readOptions(argc, args)
	if next == 0 {
		return false
	}
	count := 1
	for ; next < argc; next++ {
		arg := stringAt(args, next)
		// Only the place of the command decides whether these are own options. --log-path is an option of awslabs'.
		if hasPrefix(arg, "--hook") || hasPrefix(arg, "--runtime-path") || hasPrefix(arg, "--log-path") {
			return false
		}
		if uint(count) >= maxArgs {
			return false
		}
		c.argv[count] = wordAt(args, next)
		count++
	}

	runtime := own.runtime
	if runtime == "" {
		if own.hookFile == "" {
			if own.hooksDir != "" || !c.profile(stringAt(args, 0)) {
				return false
			}
			own.hookFile = c.path.string()
		}
		if !c.read(own.hookFile) {
			return false
		}
		if runtime = c.runtime(); runtime == "" {
			return false
		}
	}
	found := c.find(runtime, launch.SystemPath)
	if found == 0 || uint(count) > maxArgs {
		return false
	}
	c.argv[0] = found
	c.argv[count] = 0
	return true
}

// passesThrough reports whether the call adds no hooks, wherever its command is, and is not for this program itself,
// under any name.
//
//go:nosplit
func passesThrough(argc int, args unsafe.Pointer) bool {
	for i := 1; i < argc; i++ {
		arg := stringAt(args, i)
		if equal(arg, "create") || equal(arg, "run") || equal(arg, "restore") {
			return false
		}
		if argc == 2 && (equal(arg, "--version") || equal(arg, "--help")) {
			return false
		}
	}
	return true
}

// options are the values of this program's own options; "" if one is not given.
type options struct {
	hookFile string // the first one: the first hook file that names a runtime decides
	hooksDir string
	runtime  string // the last one
}

// readOptions reads the own options before any other argument: after another option, one could be that option's value.
// It returns the index of the argument after them, or 0 if one of them has no value.
//
//go:nosplit
func readOptions(argc int, args unsafe.Pointer) (o options, next int) {
	for next = 1; next < argc; next++ {
		name, value, joined := ownOption(stringAt(args, next))
		if name == none {
			break
		}
		if !joined {
			if next++; next == argc {
				return o, 0
			}
			value = stringAt(args, next)
			if hasPrefix(value, "-") {
				return o, 0
			}
		}
		switch {
		case value == "":
			return o, 0
		case name == hookConfigPath && o.hookFile == "":
			o.hookFile = value
		case name == hooksDirectory:
			o.hooksDir = value
		case name == runtimePath:
			o.runtime = value
		}
	}
	return o, next
}

// own is one of this program's options.
type own int

const (
	none own = iota
	hookConfigPath
	hooksDirectory
	runtimePath
)

// ownOption returns which own option arg is, as --name or --name=value. It returns the value if it is joined.
//
//go:nosplit
func ownOption(arg string) (name own, value string, joined bool) {
	const hookConfigPathName, hooksDirName, runtimePathName = "--hook-config-path", "--hooks-dir", "--runtime-path"
	length := 0
	switch {
	case hasPrefix(arg, hookConfigPathName):
		name, length = hookConfigPath, len(hookConfigPathName)
	case hasPrefix(arg, hooksDirName):
		name, length = hooksDirectory, len(hooksDirName)
	case hasPrefix(arg, runtimePathName):
		name, length = runtimePath, len(runtimePathName)
	default:
		return none, "", false
	}
	switch rest := after(arg, length); {
	case rest == "":
		return name, "", false
	case rest[0] == '=':
		return name, after(rest, 1), true
	}
	return none, "", false
}

// profile sets c.path to the hook file of the profile that name, argv[0], selects. It reports whether the profile's
// name is valid and the path fits.
//
//go:nosplit
func (c *call) profile(name string) bool {
	name = after(name, lastSlash(name))
	c.path.clear()
	c.path.add(profile.Dir)
	c.path.add("/")
	c.path.add(name)
	c.path.add(".json")
	return profile.ValidName(name) && c.path.complete()
}

// read reads the beginning of a hook file into c.text. It reports whether it could, and the file is a regular one, not
// world-writable and not too large.
//
//go:nosplit
func (c *call) read(hookFile string) bool {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	fd, ok := system(unix.SYS_OPENAT, here, address(hookFile), flags, 0)
	if !ok {
		return false
	}
	_, ok = system(unix.SYS_FSTAT, fd, uintptr(unsafe.Pointer(&c.stat)), 0, 0)
	if ok && c.stat.Mode&unix.S_IFMT == unix.S_IFREG && c.stat.Mode&unix.S_IWOTH == 0 && c.stat.Size <= jsonfile.MaxSize {
		_, ok = system(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&c.text)), uintptr(len(c.text)), 0)
	} else {
		ok = false
	}
	_, closed := system(unix.SYS_CLOSE, fd, 0, 0, 0)
	return ok && closed
}

// runtime returns the value of c.text's first member if its name is "runtime" and its value is printable ASCII without
// escapes; else "".
//
//go:nosplit
func (c *call) runtime() string {
	const member = `"runtime"`
	i := c.afterSpace(0)
	if c.char(i) != '{' {
		return ""
	}
	i = c.afterSpace(i + 1)
	for j := range len(member) {
		if c.char(i+j) != member[j] {
			return ""
		}
	}
	i = c.afterSpace(i + len(member))
	if c.char(i) != ':' {
		return ""
	}
	i = c.afterSpace(i + 1)
	if c.char(i) != '"' {
		return ""
	}
	value := i + 1
	for i = value; c.char(i) != '"'; i++ {
		if char := c.char(i); char < ' ' || char > '~' || char == '\\' {
			return ""
		}
	}
	if uint(i) >= uint(len(c.text)) {
		return ""
	}
	c.text[i] = 0
	return stringOf(unsafe.Add(unsafe.Pointer(&c.text), value), i-value)
}

// char returns the byte of c.text at i, or 0 after its end.
//
//go:nosplit
func (c *call) char(i int) byte {
	if uint(i) >= uint(len(c.text)) {
		return 0
	}
	return c.text[i]
}

// afterSpace returns the index in c.text after the white space that begins at i.
//
//go:nosplit
func (c *call) afterSpace(i int) int {
	for c.char(i) == ' ' || c.char(i) == '\t' || c.char(i) == '\n' || c.char(i) == '\r' {
		i++
	}
	return i
}

// find returns the address of the runtime's path, a C string. For an absolute path this is name itself, which a zero
// byte must follow. For a name it is the first match in directories, a list separated by colons. It returns 0 if there
// is none, and in any doubt.
//
//go:nosplit
func (c *call) find(name, directories string) uintptr {
	if _, ok := system(sysFstatat, here, address("/proc/self/exe\x00"), uintptr(unsafe.Pointer(&c.self)), 0); !ok {
		return 0
	}
	if lastSlash(name) > 0 {
		if !hasPrefix(name, "/") || c.examine(address(name)) != runnable {
			return 0
		}
		return address(name)
	}
	c.path.clear()
	for i := 0; i <= len(directories); i++ {
		if uint(i) < uint(len(directories)) && directories[i] != ':' {
			c.path.put(directories[i])
			continue
		}
		c.path.add("/")
		c.path.add(name)
		if !c.path.complete() {
			return 0
		}
		switch c.examine(address(c.path.string())) {
		case runnable:
			return address(c.path.string())
		case doubtful:
			return 0
		}
		c.path.clear()
	}
	return 0
}

// verdict is the result for a path that may be the runtime.
type verdict int

const (
	doubtful   verdict = iota
	runnable           // an executable regular file
	passedOver         // no file, or this program itself
)

//go:nosplit
func (c *call) examine(path uintptr) verdict {
	status, ok := system(sysFstatat, here, path, uintptr(unsafe.Pointer(&c.stat)), 0)
	switch {
	case !ok && status == uintptr(unix.ENOENT):
		return passedOver
	case !ok || c.stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return doubtful
	case c.stat.Dev == c.self.Dev && c.stat.Ino == c.self.Ino:
		return passedOver
	}
	// faccessat checks the real user, who is also the effective user: see gainedRights.
	if _, ok := system(unix.SYS_FACCESSAT, here, path, unix.X_OK, 0); !ok {
		return doubtful
	}
	return runnable
}

// path is a path composed of parts, with the zero byte after it that the kernel expects.
type path struct {
	bytes  [512]byte
	length int // len(bytes) if the path does not fit
}

//go:nosplit
func (p *path) clear() { p.length = 0 }

//go:nosplit
func (p *path) put(b byte) {
	if at := uint(p.length); at < uint(len(p.bytes)) {
		p.bytes[at] = b
		p.length++
	}
}

//go:nosplit
func (p *path) add(s string) {
	for i := range len(s) {
		p.put(s[i])
	}
}

// complete appends the zero byte. It reports whether the path fits.
//
//go:nosplit
func (p *path) complete() bool {
	at := uint(p.length)
	if at >= uint(len(p.bytes)) {
		return false
	}
	p.bytes[at] = 0
	return true
}

//go:nosplit
func (p *path) string() string { return stringOf(unsafe.Pointer(&p.bytes), p.length) }

// here makes system calls resolve a relative path from the working directory.
const here = ^uintptr(99) // AT_FDCWD, -100

// system makes a system call. If the call fails, it returns the error number and false.
//
//go:nosplit
func system(number, a, b, c, d uintptr) (uintptr, bool) {
	result, _, errno := syscall.RawSyscall6(number, a, b, c, d, 0, 0)
	if errno != 0 {
		return uintptr(errno), false
	}
	return result, true
}

const wordSize = int(unsafe.Sizeof(uintptr(0)))

// wordAt returns the word at an index after base.
//
//go:nosplit
func wordAt(base unsafe.Pointer, index int) uintptr {
	return *(*uintptr)(unsafe.Add(base, index*wordSize))
}

// stringAt returns the C string that the word at an index after base points to. The zero byte follows it in memory.
//
//go:nosplit
func stringAt(base unsafe.Pointer, index int) string {
	return cString(*(*unsafe.Pointer)(unsafe.Add(base, index*wordSize)))
}

// cString returns the C string at data. The zero byte follows it in memory.
//
//go:nosplit
func cString(data unsafe.Pointer) string {
	length := 0
	for *(*byte)(unsafe.Add(data, length)) != 0 {
		length++
	}
	return stringOf(data, length)
}

// stringOf returns the string of length bytes at data. unsafe.String would check its arguments.
//
//go:nosplit
func stringOf(data unsafe.Pointer, length int) string {
	header := struct {
		data   unsafe.Pointer
		length int
	}{data, length}
	return *(*string)(unsafe.Pointer(&header))
}

// address returns the address of the bytes of s.
//
//go:nosplit
func address(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }

// after returns s without its first n bytes. s must have at least n bytes.
//
//go:nosplit
func after(s string, n int) string {
	return stringOf(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), n), len(s)-n)
}

// lastSlash returns the index after the last slash in s, or 0 if there is none.
//
//go:nosplit
func lastSlash(s string) (index int) {
	for i := range len(s) {
		if s[i] == '/' {
			index = i + 1
		}
	}
	return index
}

//go:nosplit
func equal(a, b string) bool { return len(a) == len(b) && hasPrefix(a, b) }

//go:nosplit
func hasPrefix(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if s[i] != prefix[i] {
			return false
		}
	}
	return true
}
