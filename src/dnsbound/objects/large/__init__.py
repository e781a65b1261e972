"""Content too large to travel inside its signature: files, batches of files, live streams.

    signature over        verified                                  for
    the octets            once all have come (`detached`)           one file, an HTTP body
    a list of digests     before the octets, which are then         batches; the default (`manifest`)
                          compared with it
    digests of chunks     chunk by chunk, as they come (`chunks`)   what is resumed, or repaired
    each segment          segment by segment, gaps seen (`segments`) live video

Memory does not grow with the content: its octets are given to these objects in pieces, and none is kept.
"""
