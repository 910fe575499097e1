"""Connections to postgres and redis; the services' names are resolved by DNS."""

import os

import psycopg2
import redis


def connect():
    """One connection, one transaction at a time."""
    return psycopg2.connect(
        host=os.environ["DATABASE_HOST"],
        dbname=os.environ["POSTGRES_DB"],
        user=os.environ["POSTGRES_USER"],
        password=os.environ["POSTGRES_PASSWORD"],
        connect_timeout=5,
    )


def cache() -> redis.Redis:
    return redis.Redis(host=os.environ["REDIS_HOST"], socket_timeout=5, decode_responses=True)
