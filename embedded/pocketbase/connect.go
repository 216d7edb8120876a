package pocketbase

import "github.com/pocketbase/dbx"

// connect opens a database of the store. PocketBase itself syncs only when its log is
// folded into the database, so that a power cut takes what was written since; here a
// write that returned is on the disk.
func connect(path string) (*dbx.DB, error) {
	// The timeout first: what follows may have to wait for another process.
	return dbx.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)"+
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)&_defensive=1")
}
