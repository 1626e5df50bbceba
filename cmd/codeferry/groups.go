package main

// maxGroups is how many groups a summary keeps, and a few more: a detail can be a provider's
// text, so that no two need to be the same.
const maxGroups = 1000

// otherDetails is the detail of a group of the rest.
const otherDetails = "other details"

// group returns the group of a key, which is its own first value. If there are maxGroups
// already, a new key belongs to the group of the rest.
func group[G comparable](groups map[G]*G, key, rest G) *G {
	if groups[key] == nil && len(groups) >= maxGroups {
		key = rest
	}
	if groups[key] == nil {
		first := key
		groups[key] = &first
	}
	return groups[key]
}
