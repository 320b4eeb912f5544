"""Where the data of a topic is, as the catalog answers it."""

from mosaicolabs._protocol.manifests import TopicParsingError, TopicResourceManifest

__all__ = ["TopicParsingError", "TopicResourceManifest"]
