"""Enumerations that users and the wire share."""

from mosaicolabs.enum.flight_action import FlightAction
from mosaicolabs.enum.on_error_policy import OnErrorPolicy
from mosaicolabs.enum.sequence_status import SequenceStatus
from mosaicolabs.enum.serialization_format import SerializationFormat
from mosaicolabs.enum.topic_level_error_policy import TopicLevelErrorPolicy

__all__ = ["FlightAction", "OnErrorPolicy", "SequenceStatus", "SerializationFormat", "TopicLevelErrorPolicy"]
