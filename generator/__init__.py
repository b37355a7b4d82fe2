"""Writes answers: readers and generators behind one protocol, and the choice among their candidates.

`loading.load_generator` opens a checkpoint (a folder, a hub id, or a server's address) as a `protocol.Generator`;
`choosing.choose` picks among its candidates. The weights we train ourselves lie in the folder `checkpoints/`, which
is why the module that loads them is called `loading`.
"""
