/*
 * The SHA-256 of the API key that a request carries: in X-Api-Key, as a bearer token, or as the access key id with which
 * an AWS client has signed. Its signature is not looked at: the key is the secret. Whether the key is known, and whom it
 * may call, is a map of nginx's: see keys_map.conf.j2.
 */

import crypto from 'crypto';

const CARRIED = /^(?:Bearer +|AWS4-HMAC-SHA256 +Credential=)([A-Za-z0-9_-]+)(?:\/|$)/;

function sha256(r) {
    const headers = r.headersIn;
    const key = headers['X-Api-Key'] || (CARRIED.exec(headers.Authorization) || [])[1];
    return key ? crypto.createHash('sha256').update(key).digest('hex') : '';
}

export default {sha256};
