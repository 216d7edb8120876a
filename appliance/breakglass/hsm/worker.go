package hsm

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// RunWorker serves requests from standard input until it is closed and returns the
// exit code. The binary calls it when it was started under WorkerName, before
// anything else, and exits with the result.
//
// It ends as soon as its parent does, even while a call of the module hangs: another
// thread waits for the end of the input. What the module prints goes to standard error.
func RunWorker() int {
	in, out, err := takePipes()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hsm worker:", err)
		return 1
	}
	forbidCoreDumps()
	_ = os.WriteFile("/proc/self/comm", []byte(WorkerName), 0) // else ps shows "exe"
	runtime.LockOSThread()                                     // some modules keep state per thread
	requests := make(chan request)
	go readRequests(in, requests)
	return serve(requests, out)
}

// takePipes moves the protocol away from descriptors 0 and 1, which the module can reach.
func takePipes() (in, out *os.File, err error) {
	fds := [2]int{}
	for i := range fds {
		if fds[i], err = syscall.Dup(i); err != nil {
			return nil, nil, fmt.Errorf("standard descriptor %d: %w", i, err)
		}
		syscall.CloseOnExec(fds[i])
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(syscall.Dup3(int(null.Fd()), 0, 0), syscall.Dup3(2, 1, 0), null.Close())
	return os.NewFile(uintptr(fds[0]), "requests"), os.NewFile(uintptr(fds[1]), "responses"), err
}

// forbidCoreDumps keeps PINs out of files: a crash is expected here.
func forbidCoreDumps() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}

// readRequests exits the process at the end of the input, whatever the other thread does.
func readRequests(in *os.File, requests chan<- request) {
	for {
		var req request
		if err := readFrame(in, &req); err != nil {
			os.Exit(0)
		}
		requests <- req
	}
}

func serve(requests <-chan request, out *os.File) int {
	w := &worker{}
	for req := range requests {
		if err := writeFrame(out, w.answer(req)); err != nil {
			fmt.Fprintln(os.Stderr, "hsm worker: the answer cannot be sent:", err)
			return 1
		}
	}
	return 0
}

// worker is the state of the child process: one module, one session.
type worker struct {
	mod *module
}

func (w *worker) answer(req request) response {
	resp, err := w.handleSafely(req)
	if err == nil {
		return resp
	}
	var e *Error
	if !errors.As(err, &e) {
		e = describe(req.Op, err)
	}
	return response{Failure: &failure{Kind: kindName(e.Kind), Reason: e.Reason}}
}

// handleSafely turns a panic of the binding, which some answers of a module cause, into a failure.
func (w *worker) handleSafely(req request) (resp response, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("an answer that makes no sense: %v", r)
		}
	}()
	return w.handle(req)
}

func (w *worker) handle(req request) (response, error) {
	if req.Op == opReset {
		w.mod.close()
		w.mod = nil
		return response{}, nil
	}
	if w.mod == nil {
		mod, err := openModule(req.Module)
		if err != nil {
			return response{}, err
		}
		w.mod = mod
	}
	return w.mod.handle(req)
}
