"""The windrow command; imports each stage lazily, so that help is instant."""
