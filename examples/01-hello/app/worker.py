"""Looks at the number of visits and has something to say about it."""

import time

from client import ask, end_on_sigterm


def sentence(visits: int) -> str:
    facts = [f"{visits} is {visits:b} in binary"]
    divisors = [number for number in range(2, visits) if visits % number == 0]
    if visits > 1:
        facts.append("it is prime" if not divisors else f"it can be divided by {', '.join(map(str, divisors[:3]))}")
    return ", and ".join(facts) + "."


end_on_sigterm()
print("worker: watching the number of visits")
last = 0
while True:
    visits = int(ask("GET", "visits") or 0)
    if visits != last:
        print(f"worker: {ask('SET', 'sentence', sentence(visits))}")
        last = visits
    time.sleep(0.5)
