package identity

import "context"

// CountPasskeys is how many passkeys people have, in all tenants. It
// authorises nobody: whoever calls it has.
func (s *Service) CountPasskeys(ctx context.Context) (n int, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		n, err = s.store.countPasskeys(ctx)
		return err
	})
	return n, err
}
