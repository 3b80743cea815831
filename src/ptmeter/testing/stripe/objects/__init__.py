"""The nouns of the API, a module each: the blank object, and the verbs that change one."""
