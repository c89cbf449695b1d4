"""One request, from a resource method to bytes and back."""
