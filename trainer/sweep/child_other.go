//go:build !linux

package sweep

import "os/exec"

// dieWithParent relies on the pipe: a child that writes its next line into a closed one is killed.
func dieWithParent(*exec.Cmd) {}
