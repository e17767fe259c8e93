"""What went wrong at an S3 server, in the store's terms."""

from typing import Final

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from tools.catalog.store import StoreDeniedError, StoreDownError, StoreError

CALL_ERRORS: Final = (BotoCoreError, ClientError)

_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.NoAuthTokenError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
)
_WILL_NOT_PASS = (botocore.SSLError, botocore.ParamValidationError, botocore.DataNotFoundError)
_BUSY = {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "ConditionalRequestConflict"}


class AnswerError(StoreError):
    """The server's answer was an error with a meaning of its own, `code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def explained(error: BotoCoreError | ClientError, place: str) -> StoreError:
    """The error to raise instead of boto3's, while `place` (s3://bucket/key) was being used."""
    if isinstance(error, ClientError):
        return _answer(error, place)
    if isinstance(error, _NO_CREDENTIALS):
        return StoreDeniedError(
            f"no credentials for {place} ({error}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if isinstance(error, _WILL_NOT_PASS):
        return StoreError(f"{place}: {error}")
    return StoreDownError(f"the S3 server does not answer for {place}: {error}. Is it up, and is its address right?")


def _answer(error: ClientError, place: str) -> StoreError:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(error.response.get("Error", {}).get("Code", status))
    said = f"{place}: the S3 server answered {status} {code}"
    if code in {"RequestTimeTooSkewed", "RequestExpired"}:
        return StoreDeniedError(f"{said}. Check this machine's clock")
    if status in (401, 403):
        return StoreDeniedError(f"{said}. Check the access key, its secret, and that the policy allows this prefix")
    if code == "NoSuchBucket":
        return AnswerError(code, f"{said}. Make the bucket first, or correct the store's address")
    # 501 says that the server will never do this: trying again would not help.
    if status == 429 or (status >= 500 and status != 501) or code in _BUSY:
        return StoreDownError(f"{said}. It should pass: try again in a moment")
    return AnswerError(code, f"{said}: {error.response.get('Error', {}).get('Message', 'no reason given')}")
