#include "textflag.h"

// The program's entry point. The kernel's stack pointer points to argc, argv, nil, the environment, nil, and the auxiliary
// vector. Go's own entry needs it unchanged.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	RSP, R0
	SUB	$32, RSP
	MOVD	R0, 8(RSP)	// start's argument, above where it may save the link register
	MOVD	ZR, g
	BL	·start(SB)
	ADD	$32, RSP
	B	_rt0_arm64_linux(SB)
