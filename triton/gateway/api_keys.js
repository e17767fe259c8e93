/*
 * The SHA-256 of the API key that a request carries: in X-Api-Key, as a bearer token, or as the access key id with which
 * an AWS client has signed. Its signature is not looked at: the key is the secret. Whether the key is known, and whom it
 * may call, is a map of nginx's: see keys_map.conf.j2.
 */

import crypto from 'crypto';

function sha256(r) {
    const headers = r.headersIn;
    const key = headers['X-Api-Key'] || carried(headers.Authorization || '');
    return key ? crypto.createHash('sha256').update(key).digest('hex') : '';
}

// Without a regular expression: nginx would compile it for every request.
function carried(authorization) {
    if (authorization.startsWith('Bearer ')) {
        return authorization.slice(7).trim();
    }
    const start = authorization.indexOf('Credential=') + 11;
    if (start < 11 || !authorization.startsWith('AWS4-HMAC-SHA256 ')) {
        return '';
    }
    return authorization.slice(start, authorization.indexOf('/', start));
}

export default {sha256};
