package identity

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// mayGuess returns fault.TooMany when a second factor may not be tried now.
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
	wait := s.guesses.all(acc.ID.String())
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

// guessed counts a wrong second factor.
func (s *Service) guessed(acc account, address, method string) {
	s.guesses.failed(acc.ID.String(), address)
	if method == ProofTOTP {
		s.guesses.count("all " + acc.ID.String())
	}
}

// all is how long strange addresses wait for an account.
func (t *throttle) all(account string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait("all "+account, guessesOfOthers)
}

// count counts one failure of a key.
func (t *throttle) count(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.entries[key]
	if !ok || t.now().Sub(e.last) > maxWait {
		e = &attempts{}
		t.entries[key] = e
	}
	e.failures++
	e.last = t.now()
}

// refuseFactor counts and records a second factor that was wrong, and returns
// why it was refused.
func (s *Service) refuseFactor(ctx context.Context, acc account, address, method string, why error) error {
	if !fault.Is(why, fault.Unauthenticated) {
		return why
	}
	s.guessed(acc, address, method)
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
