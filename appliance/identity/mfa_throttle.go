package identity

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// mayGuess returns fault.TooMany when a second factor may not be tried now, and
// counts the try as wrong until guessedRight takes it back.
//
// Tries count per account and address, as for passwords. Six digits can be
// guessed from many addresses at once, so wrong codes also count per account:
// after guessesOfOthers of them addresses from which the person is not signed
// in wait. The owner is never locked out: passkeys and recovery codes cannot
// be guessed and do not wait for others, nor does an address that is theirs.
func (s *Service) mayGuess(ctx context.Context, acc account, address, method string) error {
	if err := s.guesses.allow(acc.ID.String(), address); err != nil {
		return err
	}
	if method != ProofTOTP {
		return nil
	}
	wait := s.guesses.tally(everywhere(acc), 1)
	if wait <= 0 {
		return nil
	}
	known, err := s.knows(ctx, acc, address)
	if err != nil || known {
		return err
	}
	f := fault.New(fault.TooMany, "Somebody is guessing the codes of this account. Use a passkey or a recovery code, or wait %s. Change the password soon: it is known.", wait.Round(time.Second))
	f.RetryAfter = wait
	return f
}

func (s *Service) knows(ctx context.Context, acc account, address string) (known bool, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		known, err = s.store.knows(ctx, acc.ID, address)
		return err
	})
	return known, err
}

// guessedWrong makes the waits begin now.
func (s *Service) guessedWrong(acc account, address string) {
	s.guesses.failed(acc.ID.String(), address)
}

// guessedRight takes a try back.
func (s *Service) guessedRight(acc account, address, method string) {
	s.guesses.succeeded(acc.ID.String(), address)
	if method == ProofTOTP {
		s.guesses.tally(everywhere(acc), -1)
	}
}

// everywhere is the key of an account's tries from all addresses.
func everywhere(acc account) string { return "all " + acc.ID.String() }

// tally counts tries of a key and returns how long it has to wait; while it
// waits nothing is counted.
func (t *throttle) tally(key string, tries int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait := t.wait(key, guessesOfOthers); wait > 0 && tries > 0 {
		return wait
	}
	e, ok := t.entries[key]
	if !ok || t.now().Sub(e.last) > maxWait {
		e = &attempts{}
		t.entries[key] = e
	}
	e.failures = max(0, e.failures+tries)
	e.last = t.now()
	return 0
}

// refuseFactor counts and records a second factor that was wrong, and returns
// why it was refused.
func (s *Service) refuseFactor(ctx context.Context, acc account, address, method string, why error) error {
	if !fault.Is(why, fault.Unauthenticated) {
		return why
	}
	s.guessedWrong(acc, address)
	who := actor.Actor{Kind: actor.User, ID: acc.ID, Name: acc.Name, Address: address}
	err := s.Audit.RecordAlone(actor.With(ctx, who), id.ID{}, audit.Entry{
		Event: "identity.second-factor.refused", Outcome: audit.Denied, Priority: audit.Warning,
		Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name}, Details: map[string]any{"method": method},
	})
	if err != nil {
		return err
	}
	return why
}
