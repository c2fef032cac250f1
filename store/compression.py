"""How bytes of JSON are kept small in a column.

What a waiting run stores is short, and much of it is names that every run stores too. So the compression starts from a
dictionary of those names, which halves the rest once more. Compressed bytes begin with ``Z``, which JSON never does.
"""

import zlib
from typing import Final

_MARK: Final = b"Z"
_FROM_BYTES: Final = 256
_LEVEL: Final = 1
_RAW: Final = -zlib.MAX_WBITS
# Part of the stored format: what was compressed with it can be read with no other. A better one gets another mark.
_DICTIONARY: Final = (
    b'"type":"file-list","type":"file","allowed_file_extensions":[],"allowed_file_types":["document",'
    b'"image"],"allowed_file_upload_methods":["local_file","remote_url"],"number_limits":"type":"select",'
    b'"option_source":{"type":"constant","value":["selector":[]}}["VariableUpdated",["TextEmitted",'
    b'["NodeRetried",["PassStarted",["PassFinished",["ContainerStarted",["FormTimedOut",["FormSubmitted",'
    b'["RunRecovered",["RunResumed",["RunFinished","failed","partial-succeeded","stopped","exception",'
    b'"usage":{"prompt_tokens":,"completion_tokens":,"total_tokens":},"finish_reason":"stop","text":"",'
    b'"__action_id":"approve","__action_value":"Approve","__rendered_content":"{"version":1,'
    b'"status":"paused","exceptions_count":0,"total_steps":2,"total_tokens":0,"started_at":1795,'
    b'"segment_started_at":1795,"elapsed_s":0.00,"last_at":1795,"attempt":1,"scopes":[{"owner":"",'
    b'"index":0,"edges":"010000","settled":"010000","failure":null,"outputs":{},'
    b'"pool":{"start":{""stream":[[[0,[0,1]]],[],null,0,[],null]}],"containers":[],"ready":[],'
    b'"executions":[["","",1,2,1795",0]],"forms":"[1,[[\\"FormOpened\\",179,{\\"form_content\\":\\"\\",'
    b'\\"inputs\\":[{\\"type\\":\\"paragraph\\",\\"output_variable_name\\":\\"comment\\",\\"default\\":null}],'
    b'\\"actions\\":[{\\"id\\":\\"approve\\",\\"title\\":\\"Approve\\",\\"button_style\\":\\"primary\\"},'
    b'{\\"id\\":\\"reject\\",\\"title\\":\\"Reject\\",\\"button_style\\":\\"default\\"}],'
    b'\\"resolved_default_values\\":{},\\"node_title\\":\\"\\",\\"display_in_ui\\":true},179,\\"\\"]]]",'
    b'"shown":["019[1,[["RunStarted",1795,{""},{"files":[],"user_id":"","app_id":"019","workflow_id":"",'
    b'"workflow_run_id":"019","timestamp":1795},{}],["NodeStarted",1795,"start","",1,""],["NodeFinished",'
    b'1795,"start","",1,"succeeded",1795,{"","sys.files":[],"sys.user_id":"","sys.app_id":"019",'
    b'"sys.workflow_id":"","sys.workflow_run_id":"019","sys.timestamp":1795}"source",null,null,null,null,'
    b'0,null,"",null],["NodeStarted",1795,"",2,""]]],["FormOpened",1795,"","","019",{"form_content":"",'
    b'"inputs":[{"type":"paragraph","output_variable_name":"","default":null}],"actions":[{"id":"approve",'
    b'"title":"Approve","button_style":"default"},{"id":"reject","title":"Reject",'
    b'"button_style":"default"}],"resolved_default_values":{},"node_title":"","display_in_ui":true},1795,'
    b'""],["RunPaused",1795,["019"],{},0.00,0,2,null]]]'
)


def compress(data: bytes) -> bytes:
    """Return JSON, or other bytes that do not begin with ``Z``, as a column keeps them; the same for the same bytes."""
    if len(data) < _FROM_BYTES:
        return data
    work = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    compressed = _MARK + work.compress(data) + work.flush()
    return compressed if len(compressed) < len(data) else data


def decompress(data: bytes) -> bytes:
    """Return what ``compress`` was given."""
    if not data.startswith(_MARK):
        return data
    work = zlib.decompressobj(_RAW, _DICTIONARY)
    return work.decompress(data[len(_MARK) :]) + work.flush()
