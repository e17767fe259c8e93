/*
 * The fast way through the front for calls of the SageMaker runtime API: no Python on it.
 *
 * A call that is plain (a small body of ordinary numbers as CSV or {"instances": [[...]]}, for a tenant the sidecar has
 * answered for) becomes a KServe request to Triton by moving text about, and Triton's answer becomes the client's in
 * the same way. No number is read here: Triton does that, and refuses what is none. Whatever is not plain, and whatever
 * Triton does not answer with 200, goes to the sidecar as it came: every rule and every error message is there, in
 * sagemaker_input.py and sagemaker_output.py.
 *
 * What is known of a tenant is learnt from a header of the sidecar's answers: "<version> <form> <features> <outputs>".
 * An answer of another version goes back to the sidecar, so a live update is never answered in the old model's form.
 *
 * All of this, constants included, runs anew for each request, so it does little and touches little memory: splitting
 * 30 columns would cost as much as all the rest.
 */

// Beyond these Python is the faster of the two, and longer work would hold up the worker's other requests.
const MAX_BODY = 8192;
const MAX_ROWS = 16;
const MAX_NUMBERS = 256;

function invoke(r) {
    const v = r.variables;
    const tenant = v.sagemaker_tenant;
    const known = tenant && v.sagemaker_plain && ngx.shared.sagemaker_forms.get(tenant);
    const model = known && known.split(' ');
    const request = model && v.content_length <= MAX_BODY && kserveRequest(r, v, model);
    if (!request) {
        r.internalRedirect('@invocations');
        return;
    }
    r.subrequest('/.triton/' + tenant + '/infer', {method: 'POST', body: request}, (answer) => {
        const scores = answer.status === 200 ? scoresOf(answer.responseText, model) : null;
        if (scores === null) {
            r.internalRedirect('@invocations');
        } else if (v.sagemaker_plain.endsWith('csv')) {
            r.headersOut['Content-Type'] = 'text/csv';
            r.return(200, scores.join(','));
        } else {
            r.headersOut['Content-Type'] = 'application/json';
            const rows = scores.map((score) => '{"score": ' + score + '}');
            r.return(200, '{"predictions": [' + rows.join(', ') + ']}');
        }
    });
}

// For answers of the sidecar.
function learn(r) {
    const v = r.variables;
    if (v.upstream_http_orchard_form) {
        ngx.shared.sagemaker_forms.set(v.sagemaker_tenant, v.upstream_http_orchard_form);
    }
}

function kserveRequest(r, v, model) {
    const rows = v.sagemaker_plain.startsWith('csv') ? rowsOfCsv(r.requestText) : rowsOfJson(r.requestText);
    let count = 1;
    let data = rows;
    // One row of ordinary numbers, each too short to be one that float32 has no room for.
    if (!/^[-0-9.]{1,30}(?:,[-0-9.]{1,30})*$/.test(rows)) {
        // Rows, with negative exponents and missing values besides.
        if (!/^(?:[-0-9.]{0,30}(?:[eE]-\d{1,3})?[,\n])*[-0-9.]{0,30}(?:[eE]-\d{1,3})?$/.test(rows)) {
            return null;
        }
        const lines = rows.split('\n');
        if (lines.length > MAX_ROWS || !lines.every((line) => line && (lines.length === 1 || line.split(',').length == model[2]))) {
            return null;
        }
        count = lines.length;
        data = (',' + rows).replace(/[,\n](?=[,\n]|$)/g, '$&NaN').slice(1).replace(/\n/g, ',');
    }
    if (count * model[3] > MAX_NUMBERS) {
        return null;
    }
    // Triton checks that there are as many numbers as the shape says.
    return '{"inputs":[{"name":"input__0","datatype":"FP32","shape":[' + count + ',' + model[2] + '],"data":[' + data
        + ']}]}';
}

// Both give rows that are separated by line feeds, their cells by commas; a missing value's cell is empty.

function rowsOfCsv(body) {
    const text = body.includes('\r') ? body.replace(/\r\n/g, '\n') : body;
    return text.endsWith('\n') ? text.slice(0, -1) : text;
}

function rowsOfJson(body) {
    const match = /^\{"instances": ?\[\[([-0-9.eE,\[\] nul]*)\]\]\}\s*$/.exec(body);
    return match ? match[1].replace(/ |null/g, '').replace(/\],\[/g, '\n') : '';
}

// One text a row, or null when the answer is not one of `model`.
function scoresOf(answer, model) {
    const start = answer.indexOf('"data":[') + 8;
    if (start < 8 || !answer.includes('"model_version":"' + model[0] + '"')) {
        return null;
    }
    const numbers = answer.slice(start, answer.indexOf(']', start)).split(',');
    if (model[1] === 'value') {
        return numbers;
    }
    const width = Number(model[3]);
    const scores = [];
    for (let i = 0; i < numbers.length; i += width) {
        scores.push(score(model[1], numbers, i, width));
    }
    return scores;
}

function score(form, numbers, start, width) {
    if (form === 'positive') {
        return numbers[start + 1];
    }
    const row = numbers.slice(start, start + width);
    return form === 'row' ? '[' + row.join(', ') + ']' : label(row);
}

function label(row) {
    let best = 0;
    for (let i = 1; i < row.length; i++) {
        if (Number(row[i]) > Number(row[best])) {
            best = i;
        }
    }
    return best + '.0';
}

export default {invoke, learn};
