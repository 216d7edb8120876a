package main

import (
	"slices"
	"strings"
)

// doubleLicense begins a text whose parts look like other licences.
const doubleLicense = "the openssl toolkit stays under a double license"

// signs are sentences by which a licence is known. Of one family only the first that is
// found counts.
var signs = []struct{ family, id, sentence string }{
	{"apache", "Apache-2.0", "apache license version 2.0"},
	{"apache", "Apache-2.0", "apache license, version 2.0"},
	{"mpl", "MPL-2.0", "mozilla public license version 2.0"},
	{"mpl", "MPL-2.0", "mozilla public license, version 2.0"},
	{"openssl", "OpenSSL", doubleLicense},
	{"icu", "ICU", "of the unicode data files and any associated documentation"},
	{"mit", "MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"mit", "MIT-0", "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the \"software\"), to deal in the software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the software, and to permit persons to whom the software is furnished to do so."},
	{"bsd", "BSD-3-Clause", "neither the name of"},
	{"bsd", "BSD-3-Clause", "the names of its contributors may not be used"},
	{"bsd", "BSD-3-Clause", "the name of the author may not be used"},
	{"bsd", "BSD-2-Clause", "redistribution and use in source and binary forms"},
	{"isc", "ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"},
	{"isc", "ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
	{"postgres", "PostgreSQL", "distribute this software and its documentation for any purpose, without fee, and without a written agreement"},
	{"zlib", "Zlib", "this software is provided 'as-is', without any express or implied warranty"},
	{"unlicense", "Unlicense", "this is free and unencumbered software released into the public domain"},
	{"cc0", "CC0-1.0", "cc0 1.0 universal"},
	{"public", "LicenseRef-public-domain", "is in the public domain"},
}

// expression is the SPDX expression of what texts grant, "" when nothing is known.
func expression(texts []string) string {
	var ids []string
	for _, text := range texts {
		for _, id := range identify(text) {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " AND ")
}

// identify names the licences in one text.
func identify(text string) []string {
	plain := strings.Join(strings.Fields(strings.ToLower(text)), " ")
	if strings.Contains(plain, doubleLicense) {
		return []string{"OpenSSL"}
	}
	found := map[string]bool{}
	var ids []string
	for _, s := range signs {
		if !found[s.family] && strings.Contains(plain, s.sentence) {
			found[s.family] = true
			ids = append(ids, s.id)
		}
	}
	return ids
}
