#include "textflag.h"

// Thread-local storage without a goroutine.
GLOBL noThread<>(SB), NOPTR, $16

// The first instruction of the program. The kernel's stack pointer leads to argc, argv, nil, the environment, nil, and the
// auxiliary vector, and Go's own entry is to find it as it was.
//
// The call goes through a wrapper that the compiler makes for assembly, which loads the current goroutine from thread-local
// storage. So there has to be some, with nothing in it; Go's start sets its own.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, R12
	ANDQ	$~15, SP
	SUBQ	$16, SP
	MOVQ	R12, 0(SP)	// start's argument
	MOVQ	R12, 8(SP)
	MOVQ	$0x1002, DI	// ARCH_SET_FS
	LEAQ	noThread<>+8(SB), SI	// the goroutine is 8 bytes before it
	MOVQ	$158, AX	// arch_prctl
	SYSCALL
	CALL	·start(SB)
	MOVQ	8(SP), SP
	JMP	_rt0_amd64_linux(SB)
