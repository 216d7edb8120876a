package identity

import (
	"context"

	"nimbus/appliance/fault"
)

// CanSignIn counts the active people with a password that can be checked, for a
// proof that a restored database opens to somebody. Nobody is authorised. Fault:
// Unprocessable when there are none.
func (s *Service) CanSignIn(ctx context.Context) (people int, err error) {
	var hashes []string
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		hashes, err = s.store.activeHashes(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, hash := range hashes {
		if _, ok := parseHash(hash); ok {
			people++
		}
	}
	if people == 0 {
		return 0, fault.New(fault.Unprocessable, "Nobody could sign in: there is no active person with a password.")
	}
	return people, nil
}
