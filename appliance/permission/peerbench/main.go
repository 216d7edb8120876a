// Command peerbench answers questions over policies with other engines and
// tells what each answered and how long it took. It reads one set of policies
// as JSON from standard input. The benchmark of package permission runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// policy is one grant as every engine can say it: parts may be `*`, a denial
// beats every allowance, and a conditional one holds for a session with a
// second factor on a resource of the test environment.
type policy struct {
	Domain, Resource, Action string
	Deny, Conditional        bool
}

// asked is one question, with the facts that conditions look at.
type asked struct {
	Domain, Resource, Action string
	MFA                      bool
	Environment              string
}

type set struct {
	Policies  []policy
	Questions []asked
	// Budget bounds the time of measuring, in nanoseconds.
	Budget time.Duration
}

// result is what one engine made of a set.
type result struct {
	Engine  string
	NsPerOp float64
	Answers []bool
}

// engine answers one question.
type engine func(asked) (bool, error)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
}

func run() error {
	var s set
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	var results []result
	for _, peer := range []struct {
		name  string
		build func([]policy) (engine, error)
	}{{"cedar-go", newCedar}, {"casbin", newCasbin}, {"opa", newOPA}} {
		ask, err := peer.build(s.Policies)
		if err != nil {
			return fmt.Errorf("%s: %w", peer.name, err)
		}
		r, err := measure(ask, s)
		if err != nil {
			return fmt.Errorf("%s: %w", peer.name, err)
		}
		r.Engine = peer.name
		results = append(results, r)
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

// measure asks all questions once for their answers and then until the budget
// is used up.
func measure(ask engine, s set) (result, error) {
	var r result
	for _, q := range s.Questions {
		answer, err := ask(q)
		if err != nil {
			return r, err
		}
		r.Answers = append(r.Answers, answer)
	}
	n, began := 0, time.Now()
	for ; n == 0 || time.Since(began) < s.Budget; n++ {
		if _, err := ask(s.Questions[n%len(s.Questions)]); err != nil {
			return r, err
		}
	}
	r.NsPerOp = float64(time.Since(began)) / float64(n)
	return r, nil
}
