package program

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ELF is what the kernel reads in an ELF file to execute it.
type ELF struct {
	Type    elf.Type
	Machine elf.Machine
	Loader  string // the path of the dynamic loader; empty for a static program
}

// ReadELF reads an ELF file as the kernel does: in the machine's byte order, even if the file declares another, and
// without its sections, which package elf needs. With an error, the machine is set if the header could be read. It is an
// error if a segment that is loaded is not within the file.
func ReadELF(file *os.File) (is ELF, err error) {
	st, err := file.Stat()
	if err != nil {
		return is, err
	}
	ident := make([]byte, elf.EI_NIDENT)
	if _, err := file.ReadAt(ident, 0); err != nil {
		return is, err
	}
	if !bytes.HasPrefix(ident, []byte(elf.ELFMAG)) {
		return is, errors.New("it is no ELF file")
	}
	read := func(offset uint64, into any) error {
		return binary.Read(io.NewSectionReader(file, int64(offset), st.Size()), binary.NativeEndian, into)
	}
	var segments []elf.Prog64
	if elf.Class(ident[elf.EI_CLASS]) == elf.ELFCLASS32 {
		var header elf.Header32
		if err := read(0, &header); err != nil {
			return is, err
		}
		is.Type, is.Machine = elf.Type(header.Type), elf.Machine(header.Machine)
		table := make([]elf.Prog32, header.Phnum)
		err = read(uint64(header.Phoff), table)
		for _, p := range table {
			segments = append(segments, elf.Prog64{Type: p.Type, Off: uint64(p.Off), Filesz: uint64(p.Filesz)})
		}
	} else {
		var header elf.Header64
		if err := read(0, &header); err != nil {
			return is, err
		}
		is.Type, is.Machine = elf.Type(header.Type), elf.Machine(header.Machine)
		segments = make([]elf.Prog64, header.Phnum)
		err = read(header.Phoff, segments)
	}
	if err != nil {
		return is, err
	}
	for _, s := range segments {
		kind, end := elf.ProgType(s.Type), s.Off+s.Filesz
		if kind != elf.PT_LOAD && kind != elf.PT_INTERP {
			continue
		}
		if end < s.Off || end > uint64(st.Size()) {
			return is, io.ErrUnexpectedEOF
		}
		if kind == elf.PT_INTERP && is.Loader == "" {
			loader := make([]byte, min(s.Filesz, unix.PathMax))
			if _, err := file.ReadAt(loader, int64(s.Off)); err != nil {
				return is, err
			}
			is.Loader = string(bytes.TrimRight(loader, "\x00"))
		}
	}
	return is, nil
}
