//go:build ignore

// This program makes breached.bin from a list of passwords, one a line:
//
//	go run breached_gen.go < passwords.txt > breached.bin
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"log"
	"os"
	"slices"
	"strings"
)

// shortest is the length below which a word says nothing about a password
// that has it in it.
const shortest = 4

func main() {
	var sums []uint32
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if word := strings.ToLower(lines.Text()); len(word) >= shortest {
			sum := sha256.Sum256([]byte(word))
			sums = append(sums, binary.BigEndian.Uint32(sum[:]))
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	slices.Sort(sums)
	sums = slices.Compact(sums)
	if err := binary.Write(os.Stdout, binary.BigEndian, sums); err != nil {
		log.Fatal(err)
	}
}
