"""HL7 in, record out.

Each step imports only those after it; `pyproject.toml` holds them to it.

    door → http → receive → gather → inbox → judge                       before the answer
           who    parse     together  keep    for which record
                  authorise
                  understand

    wake → tasks → process → lanes → settle → records.apply              after the answer
                   drain     whose    match    the only writers
                             hand     hold

    review: a person decides.   status: what became of it.   admin: both, in pages.
"""
