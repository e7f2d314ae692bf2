// verify_dkim.go - signatures in the eyes of go-msgauth: verify_dkim RECORDS FILE...
//
// RECORDS is a JSON object of names in DNS and their TXT records. A line of JSON for each file: of each
// signature, in the order of the fields, "" or why it does not pass.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify_dkim:", err)
		os.Exit(1)
	}
}

func main() {
	records := map[string]string{}
	text, err := os.ReadFile(os.Args[1])
	fail(err)
	fail(json.Unmarshal(text, &records))
	options := dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		record, found := records[strings.TrimSuffix(name, ".")]
		if !found {
			return nil, fmt.Errorf("no record at %s", name)
		}
		return []string{record}, nil
	}}
	out := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[2:] {
		file, err := os.Open(name)
		fail(err)
		found, err := dkim.VerifyWithOptions(file, &options)
		file.Close()
		results := []string{}
		if err != nil {
			results = append(results, err.Error())
		}
		for _, one := range found {
			why := ""
			if one.Err != nil {
				why = one.Err.Error()
			}
			results = append(results, why)
		}
		fail(out.Encode(results))
	}
}
